/**
 * Builds execution graphs row by row into columns that grow by doubling and are reused: `reset()`
 * forgets the nodes and keeps the memory and the interned strings. Times ns, sizes bytes. Rows that
 * were never set hold zeros, so equal graphs have equal columns.
 */
import { assert, GrowableFloat64, GrowableInt32 } from '@astrolabe/base';
import { Attr, type Attribute, type ExecutionGraph, type GraphMetadata } from './graph.js';
import type { NodeType } from './node-type.js';
import { StringTable } from './string-table.js';

/** Version of the Chakra schema that our metadata names. */
export const chakraVersion = '1.0.0';

const emptyMetadata: GraphMetadata = { version: chakraVersion, attributes: [] };

const noExtra: ReadonlyMap<number, Attribute[]> = new Map();
const noFields: ReadonlyMap<number, Uint8Array> = new Map();

const columnKinds = {
  id: Float64Array,
  type: Uint8Array,
  name: Int32Array,
  present: Int32Array,
  isCpuOp: Uint8Array,
  durationNs: Float64Array,
  numOps: Float64Array,
  tensorSizeBytes: Float64Array,
  commType: Uint8Array,
  commSizeBytes: Float64Array,
  commSrc: Int32Array,
  commDst: Int32Array,
  commTag: Int32Array,
  commPriority: Int32Array,
  pgName: Int32Array,
  involvedDims: Int32Array,
  involvedDimCount: Uint8Array,
  tensorLoc: Uint8Array,
  tensorDevice: Int32Array,
  tensorChannel: Int32Array,
} as const;

type Column = keyof typeof columnKinds;
type Columns = { [K in Column]: InstanceType<(typeof columnKinds)[K]> };
const columnNames = Object.keys(columnKinds) as Column[];

/** Edges in order of addition; sorted by node only if they did not come that way. */
class EdgeList {
  readonly node = new GrowableInt32(256);
  readonly dep = new GrowableFloat64(256);
  private ordered = true;

  add(node: number, dep: number): void {
    const count = this.node.length;
    if (count > 0 && this.node.data[count - 1] > node) this.ordered = false;
    this.node.push(node);
    this.dep.push(dep);
  }

  clear(): void {
    this.node.clear();
    this.dep.clear();
    this.ordered = true;
  }

  /** Compressed rows; the order of a node's edges is the order of addition. */
  rows(nodeCount: number): { start: Int32Array; dep: Float64Array } {
    const start = new Int32Array(nodeCount + 1);
    const count = this.node.length;
    const node = this.node.data;
    for (let i = 0; i < count; i++) start[node[i] + 1]++;
    for (let i = 0; i < nodeCount; i++) start[i + 1] += start[i];
    if (this.ordered) return { start, dep: this.dep.toArray() };
    const next = start.slice(0, nodeCount);
    const dep = new Float64Array(count);
    for (let i = 0; i < count; i++) dep[next[node[i]]++] = this.dep.data[i];
    return { start, dep };
  }
}

export class GraphBuilder {
  /** Number of nodes so far. */
  nodeCount = 0;
  /** Rows at and beyond `nodeCount` are zero. Replaced when it grows: read it anew after addNode. */
  columns: Columns;
  readonly strings: StringTable;
  private capacity: number;
  private readonly dataEdges = new EdgeList();
  private readonly ctrlEdges = new EdgeList();
  private extra = new Map<number, Attribute[]>();
  private fields = new Map<number, Uint8Array>();

  /** @param strings share a table to share interned indices between builders. */
  constructor(capacity = 64, strings = new StringTable()) {
    this.capacity = Math.max(capacity, 4);
    this.columns = makeColumns(this.capacity);
    this.strings = strings;
  }

  /** Forgets the nodes. Interned string indices stay valid; graphs from `finish` stay intact. */
  reset(): void {
    for (const name of columnNames) this.columns[name].fill(0, 0, this.nodeCount);
    this.nodeCount = 0;
    this.dataEdges.clear();
    this.ctrlEdges.clear();
    if (this.extra.size > 0) this.extra = new Map();
    if (this.fields.size > 0) this.fields = new Map();
  }

  /** Index of a name or group in `strings`; callers may keep it, also across `reset()`. */
  intern(text: string): number {
    return this.strings.intern(text);
  }

  /**
   * Adds a node whose id is its index. Use `setId` before anything depends on it to change that.
   * @param name text, or an index from `intern`
   * @returns the node's index
   */
  addNode(type: NodeType, name: string | number): number {
    const index = this.nodeCount;
    if (index === this.capacity) this.grow();
    const columns = this.columns;
    columns.id[index] = index;
    columns.type[index] = type;
    columns.name[index] = typeof name === 'number' ? name : this.strings.intern(name);
    this.nodeCount = index + 1;
    return index;
  }

  /** @param id integer >= 0, at most 2^53. */
  setId(node: number, id: number): void {
    this.columns.id[node] = id;
  }

  setDuration(node: number, durationNs: number): void {
    this.columns.durationNs[node] = durationNs;
  }

  setCpuOp(node: number, isCpuOp: boolean): void {
    this.columns.isCpuOp[node] = isCpuOp ? 1 : 0;
    this.columns.present[node] |= Attr.isCpuOp;
  }

  /** Floating-point operations of a compute node, for roofline mode. */
  setNumOps(node: number, numOps: number): void {
    this.columns.numOps[node] = numOps;
    this.columns.present[node] |= Attr.numOps;
  }

  /** Bytes of a memory node, or bytes moved by a compute node in roofline mode. */
  setTensorSize(node: number, sizeBytes: number): void {
    this.columns.tensorSizeBytes[node] = sizeBytes;
    this.columns.present[node] |= Attr.tensorSize;
  }

  /** Where the tensor lives: a `TensorLocation`, and the device (and PIM channel) there. */
  setTensorLocation(node: number, location: number, device?: number, channel?: number): void {
    const columns = this.columns;
    columns.tensorLoc[node] = location;
    columns.present[node] |= Attr.tensorLoc;
    if (device !== undefined) {
      columns.tensorDevice[node] = device;
      columns.present[node] |= Attr.tensorDevice;
    }
    if (channel !== undefined) {
      columns.tensorChannel[node] = channel;
      columns.present[node] |= Attr.tensorChannel;
    }
  }

  /** A `CollectiveType` and its size: the rank's input buffer in bytes. */
  setCollective(node: number, commType: number, sizeBytes: number): void {
    const columns = this.columns;
    columns.commType[node] = commType;
    columns.commSizeBytes[node] = sizeBytes;
    columns.present[node] |= Attr.commType | Attr.commSize;
  }

  /** Communicator group of a collective: text, or an index from `intern`. */
  setGroup(node: number, group: string | number): void {
    this.columns.pgName[node] = typeof group === 'number' ? group : this.strings.intern(group);
    this.columns.present[node] |= Attr.pgName;
  }

  /** @param bits bit d = network dimension d takes part. @param count number of dimensions, <= 31. */
  setInvolvedDims(node: number, bits: number, count: number): void {
    this.columns.involvedDims[node] = bits;
    this.columns.involvedDimCount[node] = count;
    this.columns.present[node] |= Attr.involvedDim;
  }

  setPriority(node: number, priority: number): void {
    this.columns.commPriority[node] = priority;
    this.columns.present[node] |= Attr.commPriority;
  }

  /** A send or receive: both ends' NPU ids, tag and bytes must agree for the two to match. */
  setPointToPoint(node: number, src: number, dst: number, tag: number, sizeBytes: number): void {
    const columns = this.columns;
    columns.commSrc[node] = src;
    columns.commDst[node] = dst;
    columns.commTag[node] = tag;
    columns.commSizeBytes[node] = sizeBytes;
    columns.present[node] |= Attr.commSrc | Attr.commDst | Attr.commTag | Attr.commSize;
  }

  /** `node` starts after the node of index `parent`. Cheapest in order of rising `node`. */
  addDep(node: number, parent: number): void {
    this.dataEdges.add(node, this.columns.id[parent]);
  }

  /** As `addDep`, recorded as a control dependency (LLMServingSim's readers ignore these). */
  addCtrlDep(node: number, parent: number): void {
    this.ctrlEdges.add(node, this.columns.id[parent]);
  }

  /** As `addDep` with the parent's id, which may be added later. */
  addDepId(node: number, id: number): void {
    this.dataEdges.add(node, id);
  }

  addCtrlDepId(node: number, id: number): void {
    this.ctrlEdges.add(node, id);
  }

  /** An attribute without a column. */
  addExtra(node: number, attribute: Attribute): void {
    const list = this.extra.get(node);
    if (list === undefined) this.extra.set(node, [attribute]);
    else list.push(attribute);
  }

  /** Wire bytes (tag and value) of node fields without a column, as read. */
  addFields(node: number, bytes: Uint8Array): void {
    const known = this.fields.get(node);
    if (known === undefined) {
      this.fields.set(node, bytes);
      return;
    }
    const joined = new Uint8Array(known.length + bytes.length);
    joined.set(known);
    joined.set(bytes, known.length);
    this.fields.set(node, joined);
  }

  /** The graph with its own copy of the columns. `reset()` before building the next one. */
  finish(metadata: GraphMetadata = emptyMetadata): ExecutionGraph {
    return this.seal(copyColumns(this.columns, this.nodeCount), metadata);
  }

  /** As `finish` without copying: valid only until the builder's next change or `reset()`. */
  view(metadata: GraphMetadata = emptyMetadata): ExecutionGraph {
    return this.seal(viewColumns(this.columns, this.nodeCount), metadata);
  }

  private seal(columns: Columns, metadata: GraphMetadata): ExecutionGraph {
    const data = this.dataEdges.rows(this.nodeCount);
    const ctrl = this.ctrlEdges.rows(this.nodeCount);
    return {
      metadata,
      nodeCount: this.nodeCount,
      ...columns,
      dataDepStart: data.start,
      dataDep: data.dep,
      ctrlDepStart: ctrl.start,
      ctrlDep: ctrl.dep,
      strings: this.strings.strings,
      // The builder's own maps change later unless reset() replaces them, which it does if used.
      extra: this.extra.size > 0 ? this.extra : noExtra,
      fields: this.fields.size > 0 ? this.fields : noFields,
    };
  }

  private grow(): void {
    const capacity = this.capacity * 2;
    assert(capacity <= 2 ** 30, 'graph has too many nodes');
    const grown = makeColumns(capacity);
    for (const name of columnNames) grown[name].set(this.columns[name]);
    this.columns = grown;
    this.capacity = capacity;
  }
}

/** Bytes of a row over all columns. */
const rowBytes = columnNames.reduce((sum, name) => sum + columnKinds[name].BYTES_PER_ELEMENT, 0);

/** One buffer for many arrays: an ArrayBuffer of its own costs an array about 0.7 us. */
class Arena {
  private readonly buffer: ArrayBuffer;
  private used = 0;

  constructor(sizeBytes: number) {
    this.buffer = new ArrayBuffer(sizeBytes);
  }

  take<T>(
    kind: {
      new (buffer: ArrayBuffer, offset: number, length: number): T;
      BYTES_PER_ELEMENT: number;
    },
    length: number,
  ): T {
    const array = new kind(this.buffer, this.used, length);
    this.used += roundUp(length * kind.BYTES_PER_ELEMENT);
    return array;
  }
}

function roundUp(sizeBytes: number): number {
  return (sizeBytes + 7) & ~7;
}

function makeColumns(capacity: number): Columns {
  const arena = new Arena(arenaBytes(capacity));
  const columns: Partial<Record<Column, unknown>> = {};
  for (const name of columnNames) {
    columns[name] = arena.take<Columns[Column]>(columnKinds[name], capacity);
  }
  return columns as Columns;
}

/** With room for every array's rounding up to 8 bytes. */
function arenaBytes(rows: number): number {
  return rows * rowBytes + columnNames.length * 8;
}

function copyColumns(from: Columns, length: number): Columns {
  const columns = makeColumns(length);
  for (const name of columnNames) columns[name].set(from[name].subarray(0, length));
  return columns;
}

function viewColumns(from: Columns, length: number): Columns {
  const columns: Partial<Record<Column, unknown>> = {};
  for (const name of columnNames) columns[name] = from[name].subarray(0, length);
  return columns as Columns;
}
