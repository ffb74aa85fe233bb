/**
 * An execution graph made ready to run: nodes in order of id, dependencies as counts and children,
 * durations fixed, attributes checked. Compiled once per graph, shared by all NPUs that run it. Times
 * ns, sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import { Attr, type ExecutionGraph, NodeType } from '@astrolabe/chakra';
import type { BufferPool } from './buffer-pool.js';

/** What a node does when it is issued. */
export const Op = {
  compute: 0,
  collective: 1,
  send: 2,
  receive: 3,
  memory: 4,
  /** Nothing: ends where it starts. */
  skip: 5,
  /** Takes its duration in the communication slot and moves nothing. */
  delay: 6,
  pim: 7,
} as const;

/** Which resource of the NPU a node holds; one node at a time each, `none` without limit. */
export const Slot = { cpu: 0, compute: 1, comm: 2, none: 3 } as const;

/** What a node's time counts as. */
export const Stat = { none: 0, compute: 1, comm: 2, memory: 3 } as const;

export interface NodeRules {
  /** Every node takes its duration and nothing else happens. */
  readonly replayOnly: boolean;
  /** Duration of nodes that state none. */
  readonly emptyDurationNs: number;
  /** Memory accesses hold the communication slot (ASTRA-sim), or none (LLMServingSim's fork). */
  readonly memorySlot: 'comm' | 'none';
  /** Compute time from operations and bytes instead of the recorded duration. */
  readonly roofline?: { readonly bytesPerSecond: number; readonly opsPerSecond: number };
  /** Control dependencies count (upstream), or are ignored (LLMServingSim's fork). */
  readonly ctrlDeps: boolean;
  /** Nodes on a dependency cycle are an error; otherwise they never run. */
  readonly refuseCycles: boolean;
}

export const defaultRules: NodeRules = {
  replayOnly: false,
  emptyDurationNs: 0,
  memorySlot: 'none',
  ctrlDeps: true,
  refuseCycles: true,
};

export interface Program {
  /** Holds all columns; to be given back to its pool when nobody uses the program any more. */
  readonly buffer: ArrayBuffer;
  readonly graph: ExecutionGraph;
  readonly nodeCount: number;
  /** Row of the graph's columns for each node; undefined when they are the same. */
  readonly row: Int32Array | undefined;
  readonly op: Uint8Array;
  readonly slot: Uint8Array;
  readonly stat: Uint8Array;
  readonly durationNs: Float64Array;
  readonly parents: Int32Array;
  readonly childStart: Int32Array;
  readonly child: Int32Array;
  readonly roots: readonly number[];
  /**
   * Last node of the run of compute nodes that begins here, each the only child of its only parent;
   * the node itself where there is none. With the sum of their durations.
   */
  readonly chainEnd: Int32Array;
  readonly chainNs: Float64Array;
  readonly chainCount: Int32Array;
  readonly hasMemory: boolean;
  readonly hasPointToPoint: boolean;
}

/**
 * @param at names the graph in errors
 * @param pool where the columns' memory comes from
 * @throws UserError
 */
export function compileProgram(
  graph: ExecutionGraph,
  rules: NodeRules,
  at: string,
  pool?: BufferPool,
): Program {
  const n = graph.nodeCount;
  const row = idOrder(graph);
  const columns = makeColumns(n, graph.dataDep.length + graph.ctrlDep.length, pool);
  const { op, slot, stat, durationNs } = columns;
  let hasMemory = false;
  let hasPointToPoint = false;
  for (let i = 0; i < n; i++) {
    const r = row === undefined ? i : row[i];
    const kind = operationOf(graph, r, rules, at);
    op[i] = kind;
    slot[i] = slotOf(graph, r, kind, rules);
    stat[i] = statOf(graph, r);
    durationNs[i] = durationOf(graph, r, kind, rules);
    if (kind === Op.memory || kind === Op.pim) hasMemory = true;
    if (kind === Op.send || kind === Op.receive) hasPointToPoint = true;
  }
  linkNodes(graph, row, rules, columns, at);
  const { parents } = columns;
  const roots: number[] = [];
  for (let i = 0; i < n; i++) if (parents[i] === 0) roots.push(i);
  findChains(columns);
  const program: Program = {
    graph,
    nodeCount: n,
    row,
    roots,
    ...columns,
    hasMemory,
    hasPointToPoint,
  };
  if (rules.refuseCycles) refuseCycles(program, at);
  return program;
}

type Columns = Pick<
  Program,
  | 'buffer'
  | 'op'
  | 'slot'
  | 'stat'
  | 'durationNs'
  | 'parents'
  | 'childStart'
  | 'child'
  | 'chainEnd'
  | 'chainNs'
  | 'chainCount'
>;

/** All columns in one buffer: an allocation each would cost more than the work on them. */
function makeColumns(n: number, edges: number, pool: BufferPool | undefined): Columns {
  const sizeBytes = n * (8 * 2 + 4 * 4 + 3) + 4 * (edges + 1);
  const buffer = pool === undefined ? new ArrayBuffer(sizeBytes) : pool.take(sizeBytes);
  let offset = 0;
  const take = (bytes: number): number => {
    const at = offset;
    offset += bytes;
    return at;
  };
  return {
    buffer,
    durationNs: new Float64Array(buffer, take(8 * n), n),
    chainNs: new Float64Array(buffer, take(8 * n), n),
    parents: new Int32Array(buffer, take(4 * n), n),
    chainEnd: new Int32Array(buffer, take(4 * n), n),
    chainCount: new Int32Array(buffer, take(4 * n), n),
    childStart: new Int32Array(buffer, take(4 * (n + 1)), n + 1).fill(0),
    child: new Int32Array(buffer, take(4 * edges), edges),
    op: new Uint8Array(buffer, take(n), n),
    slot: new Uint8Array(buffer, take(n), n),
    stat: new Uint8Array(buffer, take(n), n),
  };
}

export function rowOf(program: Program, node: number): number {
  return program.row === undefined ? node : program.row[node];
}

/** Rows in ascending order of id; undefined when they are in that order already. */
function idOrder(graph: ExecutionGraph): Int32Array | undefined {
  const { id, nodeCount: n } = graph;
  let ordered = true;
  for (let i = 1; i < n && ordered; i++) ordered = id[i] > id[i - 1];
  if (ordered) return undefined;
  const order = new Int32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  order.sort((a, b) => id[a] - id[b] || a - b);
  return order;
}

function place(graph: ExecutionGraph, r: number, at: string): string {
  return `${at}: node ${graph.id[r]} ("${graph.strings[graph.name[r]] ?? ''}")`;
}

function require(graph: ExecutionGraph, r: number, bit: number, name: string, at: string): void {
  if ((graph.present[r] & bit) !== 0) return;
  const misread = graph.extra.get(r)?.some((attribute) => attribute.name === name);
  throw new UserError(
    misread === true
      ? `attribute ${name} has a kind that cannot be read as a number`
      : `attribute ${name} is missing`,
    { at: place(graph, r, at) },
  );
}

/** Optional attributes by node type; of a kind that cannot be read they must not pass as absent. */
const optional: Readonly<Record<number, readonly string[]>> = {
  [NodeType.commSend]: ['is_cpu_op', 'comm_src'],
  [NodeType.commRecv]: ['is_cpu_op', 'comm_dst'],
  [NodeType.commColl]: ['is_cpu_op', 'pg_name', 'involved_dim'],
};

function refuseMisread(graph: ExecutionGraph, r: number, at: string): void {
  const names = optional[graph.type[r]] ?? ['is_cpu_op'];
  const misread = graph.extra.get(r)?.find(({ name }) => names.includes(name));
  if (misread === undefined) return;
  throw new UserError(`attribute ${misread.name} cannot be read from ${misread.kind}`, {
    at: place(graph, r, at),
  });
}

function operationOf(graph: ExecutionGraph, r: number, rules: NodeRules, at: string): number {
  if (rules.replayOnly) return Op.compute;
  const type = graph.type[r];
  if (graph.extra.size > 0) refuseMisread(graph, r, at);
  const onCpu = isCpuOp(graph, r);
  if (onCpu && type >= NodeType.commSend && type <= NodeType.commColl) {
    throw new UserError('communication node with is_cpu_op: it cannot run on the CPU', {
      at: place(graph, r, at),
    });
  }
  switch (type) {
    case NodeType.comp:
      if (rules.roofline === undefined || onCpu) return Op.compute;
      require(graph, r, Attr.numOps, 'num_ops', at);
      require(graph, r, Attr.tensorSize, 'tensor_size', at);
      return graph.tensorSizeBytes[r] === 0 ? Op.skip : Op.compute;
    case NodeType.commColl:
      require(graph, r, Attr.commType, 'comm_type', at);
      return collectiveOperation(graph, r, at);
    case NodeType.commSend:
      require(graph, r, Attr.commDst, 'comm_dst', at);
      require(graph, r, Attr.commSize, 'comm_size', at);
      require(graph, r, Attr.commTag, 'comm_tag', at);
      return Op.send;
    case NodeType.commRecv:
      require(graph, r, Attr.commSrc, 'comm_src', at);
      require(graph, r, Attr.commSize, 'comm_size', at);
      require(graph, r, Attr.commTag, 'comm_tag', at);
      return Op.receive;
    case NodeType.memLoad:
    case NodeType.memStore:
      require(graph, r, Attr.tensorSize, 'tensor_size', at);
      return Op.memory;
    case NodeType.pimComp:
      return Op.pim;
    default:
      return Op.skip;
  }
}

const collectiveNames = [
  'ALL_REDUCE',
  'REDUCE',
  'ALL_GATHER',
  'GATHER',
  'SCATTER',
  'BROADCAST',
  'ALL_TO_ALL',
  'REDUCE_SCATTER',
  'REDUCE_SCATTER_BLOCK',
  'BARRIER',
];

function collectiveOperation(graph: ExecutionGraph, r: number, at: string): number {
  switch (collectiveNames[graph.commType[r]]) {
    case 'BROADCAST':
      return Op.delay;
    case 'ALL_REDUCE':
    case 'ALL_GATHER':
    case 'ALL_TO_ALL':
    case 'REDUCE_SCATTER':
      require(graph, r, Attr.commSize, 'comm_size', at);
      return Op.collective;
    default:
      throw new UserError(
        `collective ${collectiveNames[graph.commType[r]] ?? graph.commType[r]} is not supported`,
        {
          at: place(graph, r, at),
          hint: 'supported: ALL_REDUCE, ALL_GATHER, ALL_TO_ALL, REDUCE_SCATTER, BROADCAST',
        },
      );
  }
}

export function isCpuOp(graph: ExecutionGraph, r: number): boolean {
  return (graph.present[r] & Attr.isCpuOp) !== 0 && graph.isCpuOp[r] !== 0;
}

function slotOf(graph: ExecutionGraph, r: number, op: number, rules: NodeRules): number {
  if (isCpuOp(graph, r)) return Slot.cpu;
  const type = graph.type[r];
  if (type === NodeType.comp) return Slot.compute;
  if (type === NodeType.commRecv) return Slot.none;
  const memory = type === NodeType.memLoad || type === NodeType.memStore || op === Op.pim;
  return memory && rules.memorySlot === 'none' ? Slot.none : Slot.comm;
}

function statOf(graph: ExecutionGraph, r: number): number {
  if (isCpuOp(graph, r)) return Stat.none;
  switch (graph.type[r]) {
    case NodeType.comp:
      return Stat.compute;
    case NodeType.commSend:
    case NodeType.commRecv:
    case NodeType.commColl:
      return Stat.comm;
    case NodeType.memLoad:
    case NodeType.memStore:
    case NodeType.pimComp:
      return Stat.memory;
    default:
      return Stat.none;
  }
}

function durationOf(graph: ExecutionGraph, r: number, op: number, rules: NodeRules): number {
  const recorded = graph.durationNs[r];
  const replay = recorded === 0 ? rules.emptyDurationNs : recorded;
  if (op === Op.pim) return recorded;
  if (op !== Op.compute || rules.replayOnly) return replay;
  if (rules.roofline === undefined || isCpuOp(graph, r)) return replay;
  return rooflineNs(graph.numOps[r], graph.tensorSizeBytes[r], rules.roofline);
}

/** Time of a compute node bounded by memory or by arithmetic. 0/0 operations give 2^63 as there. */
export function rooflineNs(
  numOps: number,
  sizeBytes: number,
  machine: { readonly bytesPerSecond: number; readonly opsPerSecond: number },
): number {
  const intensity = numOps / sizeBytes;
  const performance = Math.min(machine.bytesPerSecond * intensity, machine.opsPerSecond);
  const ns = (numOps / performance) * 1e9;
  if (Number.isNaN(ns)) return 2 ** 63;
  return Number.isFinite(ns) ? Math.trunc(ns) : 0;
}

/** Edges as found, before they are ordered by parent. */
let edgeFrom = new Int32Array(256);
let edgeTo = new Int32Array(256);

/** Parents are the union of data and control dependencies; one named twice counts once. */
function linkNodes(
  graph: ExecutionGraph,
  row: Int32Array | undefined,
  rules: NodeRules,
  columns: Columns,
  at: string,
): void {
  const n = graph.nodeCount;
  const { dataDepStart, dataDep, ctrlDepStart, ctrlDep } = graph;
  const { parents, childStart, child } = columns;
  while (edgeFrom.length < child.length) {
    edgeFrom = new Int32Array(edgeFrom.length * 2);
    edgeTo = new Int32Array(edgeFrom.length);
  }
  const from = edgeFrom;
  const to = edgeTo;
  const find = idFinder(graph, row);
  let edges = 0;
  for (let i = 0; i < n; i++) {
    const r = row === undefined ? i : row[i];
    const first = edges;
    const dataEnd = dataDepStart[r + 1];
    const ctrlEnd = rules.ctrlDeps ? ctrlDepStart[r + 1] : ctrlDepStart[r];
    for (let k = dataDepStart[r], c = ctrlDepStart[r]; k < dataEnd || c < ctrlEnd; ) {
      const id = k < dataEnd ? dataDep[k++] : ctrlDep[c++];
      const parent = find(id);
      if (parent < 0) {
        throw new UserError(`depends on node ${id}, which does not exist`, {
          at: place(graph, r, at),
        });
      }
      let known = false;
      for (let e = first; e < edges && !known; e++) known = from[e] === parent;
      if (known) continue;
      from[edges] = parent;
      to[edges++] = i;
      childStart[parent]++;
    }
    parents[i] = edges - first;
  }
  // From counts to ends, then backwards to begins: children stay in order of id.
  for (let i = 1; i < n; i++) childStart[i] += childStart[i - 1];
  childStart[n] = edges;
  for (let e = edges - 1; e >= 0; e--) child[--childStart[from[e]]] = to[e];
}

/** From a node's id to its index, -1 if there is none. Dense ids need no table. */
function idFinder(graph: ExecutionGraph, row: Int32Array | undefined): (id: number) => number {
  const { id: ids, nodeCount: n } = graph;
  const base = n === 0 ? 0 : ids[row === undefined ? 0 : row[0]];
  const last = n === 0 ? -1 : ids[row === undefined ? n - 1 : row[n - 1]];
  if (last - base === n - 1) {
    return (id) => (id >= base && id <= last ? id - base : -1);
  }
  const table = new Map<number, number>();
  for (let i = 0; i < n; i++) table.set(ids[row === undefined ? i : row[i]], i);
  return (id) => table.get(id) ?? -1;
}

function findChains(columns: Columns): void {
  const { op, slot, durationNs, parents, childStart, child } = columns;
  const { chainEnd, chainNs, chainCount } = columns;
  // Against the order of ids, which is nearly always the order of dependence; where it is not, a
  // chain is cut, never wrong.
  for (let i = op.length - 1; i >= 0; i--) {
    chainEnd[i] = i;
    chainNs[i] = durationNs[i];
    chainCount[i] = 1;
    if (op[i] !== Op.compute || slot[i] !== Slot.compute) continue;
    if (childStart[i + 1] - childStart[i] !== 1) continue;
    const only = child[childStart[i]];
    if (only <= i || parents[only] !== 1) continue;
    if (op[only] !== Op.compute || slot[only] !== Slot.compute) continue;
    chainEnd[i] = chainEnd[only];
    chainNs[i] += chainNs[only];
    chainCount[i] += chainCount[only];
  }
}

/** @throws UserError naming nodes of a dependency cycle */
function refuseCycles(program: Program, at: string): void {
  const { nodeCount: n, parents, childStart, child, roots } = program;
  let inOrder = true;
  for (let i = 0; i < n && inOrder; i++) {
    for (let e = childStart[i]; e < childStart[i + 1]; e++) if (child[e] <= i) inOrder = false;
  }
  if (inOrder) return;
  const waiting = parents.slice();
  const ready = Array.from(roots);
  for (let k = 0; k < ready.length; k++) {
    const node = ready[k];
    for (let e = childStart[node]; e < childStart[node + 1]; e++) {
      if (--waiting[child[e]] === 0) ready.push(child[e]);
    }
  }
  if (ready.length === n) return;
  const stuck = Array.from(waiting.keys()).filter((node) => waiting[node] > 0);
  const ids = stuck.slice(0, 8).map((node) => program.graph.id[rowOf(program, node)]);
  throw new UserError(`dependency cycle: nodes ${ids.join(', ')} wait for each other`, { at });
}
