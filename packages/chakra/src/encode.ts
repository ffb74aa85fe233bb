/**
 * Execution graphs to the bytes of a .et file: GlobalMetadata, then the nodes, each behind its
 * length. Files of several graphs are such bytes one after another. Values equal to their proto3
 * default are left out (id 0, type INVALID, no name); attributes present are always written.
 */
import { assert } from '@astrolabe/base';
import protobuf, { type Writer as ProtobufWriter } from 'protobufjs/minimal.js';
import { writeAttribute } from './attribute.js';
import { type Dialect, nodeTypeTables } from './dialect.js';
import { Attr, type Attribute, type ExecutionGraph } from './graph.js';
import { attributePrefixes, Known } from './known-attributes.js';
import { NodeType } from './node-type.js';
import { streamAttribute } from './stream-metadata.js';
import { utf8Of } from './string-table.js';

export interface EncodeOptions {
  /** Default `upstream`. */
  readonly dialect?: Dialect;
}

/** The graph as one .et file. @throws assertion when an id or a duration is no safe integer */
export function encodeGraph(graph: ExecutionGraph, options: EncodeOptions = {}): Uint8Array {
  const writer = new protobuf.Writer();
  writeGraph(writer, graph, options);
  return writer.finish();
}

/** All graphs one after another, as in a stream or as `cat` would join their files. */
export function encodeGraphs(
  graphs: Iterable<ExecutionGraph>,
  options: EncodeOptions = {},
): Uint8Array {
  const writer = new protobuf.Writer();
  for (const graph of graphs) writeGraph(writer, graph, options);
  return writer.finish();
}

function writeGraph(writer: ProtobufWriter, graph: ExecutionGraph, options: EncodeOptions): void {
  const dialect = options.dialect ?? 'upstream';
  writeMetadata(writer, graph);
  let carryNs = 0;
  for (let node = 0; node < graph.nodeCount; node++) {
    const durationNs = graph.durationNs[node];
    const duration = dialect === 'upstream' ? toMicros(durationNs, carryNs) : durationNs;
    if (dialect === 'upstream' && durationNs > 0) carryNs += durationNs - duration * 1000;
    writeNode(writer, graph, node, dialect, duration);
  }
}

/**
 * Whole microseconds. What rounding takes or adds goes to the next node, so that readers without the
 * exact attribute get sums that are right to a microsecond; whole durations alone stay as they are.
 */
function toMicros(durationNs: number, carryNs: number): number {
  return durationNs === 0 ? 0 : Math.max(0, Math.round((durationNs + carryNs) / 1000));
}

function writeMetadata(writer: ProtobufWriter, graph: ExecutionGraph): void {
  const { metadata } = graph;
  writer.fork();
  if (metadata.version !== '') writer.uint32(0x0a).string(metadata.version);
  for (const attribute of metadata.attributes) {
    writer.uint32(0x12).fork();
    writeAttribute(writer, counted(attribute, graph.nodeCount));
    writer.ldelim();
  }
  for (const bytes of metadata.fields ?? []) writer.raw(bytes);
  writer.ldelim();
}

/** `node_count` always tells the truth, also after a graph was edited. */
function counted(attribute: Attribute, nodeCount: number): Attribute {
  if (attribute.name !== streamAttribute.nodeCount || attribute.value === nodeCount) {
    return attribute;
  }
  return { name: attribute.name, kind: 'int64_val', value: nodeCount };
}

function writeNode(
  writer: ProtobufWriter,
  graph: ExecutionGraph,
  node: number,
  dialect: Dialect,
  duration: number,
): void {
  writer.fork();
  const id = graph.id[node];
  if (id !== 0) writeCount(writer.uint32(0x08), id);
  const name = graph.name[node];
  if (name !== 0) {
    const bytes = utf8Of(graph.strings, name);
    writer.uint32(0x12).uint32(bytes.length).raw(bytes);
  }
  const type = nodeTypeTables[dialect].write[graph.type[node]];
  if (type !== 0) writer.uint32(0x18).uint32(type);
  writeDeps(writer, 0x22, graph.ctrlDep, graph.ctrlDepStart[node], graph.ctrlDepStart[node + 1]);
  writeDeps(writer, 0x2a, graph.dataDep, graph.dataDepStart[node], graph.dataDepStart[node + 1]);
  const durationNs = graph.durationNs[node];
  if (duration !== 0) writeCount(writer.uint32(0x38), duration);
  const fields = graph.fields?.get(node);
  if (fields !== undefined) writer.raw(fields);
  writeAttributes(writer, graph, node, graph.present[node]);
  if (dialect === 'upstream') {
    if (duration * 1000 !== durationNs) writeNumber(writer, Known.durationNs, durationNs);
    if (graph.type[node] === NodeType.pimComp) writeNumber(writer, Known.isPim, 1);
  }
  const extra = graph.extra.size === 0 ? undefined : graph.extra.get(node);
  if (extra !== undefined) {
    for (const attribute of extra) {
      writer.uint32(0x52).fork();
      writeAttribute(writer, attribute);
      writer.ldelim();
    }
  }
  writer.ldelim();
}

function writeDeps(
  writer: ProtobufWriter,
  tag: number,
  deps: Float64Array,
  start: number,
  end: number,
): void {
  if (start === end) return;
  let size = 0;
  for (let i = start; i < end; i++) size += sizeOf(deps[i]);
  writer.uint32(tag).uint32(size);
  for (let i = start; i < end; i++) writeCount(writer, deps[i]);
}

function writeAttributes(
  writer: ProtobufWriter,
  graph: ExecutionGraph,
  node: number,
  present: number,
): void {
  if (present === 0) return;
  if (present & Attr.isCpuOp) writeNumber(writer, Known.isCpuOp, graph.isCpuOp[node]);
  if (present & Attr.numOps) writeNumber(writer, Known.numOps, graph.numOps[node]);
  if (present & Attr.tensorSize) writeNumber(writer, Known.tensorSize, graph.tensorSizeBytes[node]);
  if (present & Attr.tensorLoc) writeNumber(writer, Known.tensorLoc, graph.tensorLoc[node]);
  if (present & Attr.tensorDevice) {
    writeNumber(writer, Known.tensorDevice, graph.tensorDevice[node]);
  }
  if (present & Attr.tensorChannel) {
    writeNumber(writer, Known.tensorChannel, graph.tensorChannel[node]);
  }
  if (present & Attr.commType) writeNumber(writer, Known.commType, graph.commType[node]);
  if (present & Attr.commSize) writeNumber(writer, Known.commSize, graph.commSizeBytes[node]);
  if (present & Attr.commSrc) writeNumber(writer, Known.commSrc, graph.commSrc[node]);
  if (present & Attr.commDst) writeNumber(writer, Known.commDst, graph.commDst[node]);
  if (present & Attr.commTag) writeNumber(writer, Known.commTag, graph.commTag[node]);
  if (present & Attr.commPriority) {
    writeNumber(writer, Known.commPriority, graph.commPriority[node]);
  }
  if (present & Attr.pgName) {
    const bytes = utf8Of(graph.strings, graph.pgName[node]);
    const prefix = attributePrefixes[Known.pgName];
    writer.uint32(0x52).uint32(prefix.length + sizeOf(bytes.length) + bytes.length);
    writer.raw(prefix).uint32(bytes.length).raw(bytes);
  }
  if (present & Attr.involvedDim) {
    writeDims(writer, graph.involvedDims[node], graph.involvedDimCount[node]);
  }
}

function writeNumber(writer: ProtobufWriter, code: number, value: number): void {
  const prefix = attributePrefixes[code];
  writer
    .uint32(0x52)
    .uint32(prefix.length + sizeOf(value))
    .raw(prefix);
  if (value >= 0) writeCount(writer, value);
  else writer.int64(value);
}

function writeDims(writer: ProtobufWriter, bits: number, count: number): void {
  const prefix = attributePrefixes[Known.involvedDim];
  const listSize = count === 0 ? 0 : 2 + count;
  writer
    .uint32(0x52)
    .uint32(prefix.length + 1 + listSize)
    .raw(prefix)
    .uint32(listSize);
  if (count === 0) return;
  writer.uint32(0x0a).uint32(count);
  for (let dim = 0; dim < count; dim++) writer.uint32((bits >>> dim) & 1);
}

/** @param value integer in [0, 2^53) */
function writeCount(writer: ProtobufWriter, value: number): void {
  if (value < 4294967296 && value >>> 0 === value) {
    writer.uint32(value);
    return;
  }
  assert(Number.isSafeInteger(value) && value >= 0, () => `not a whole number >= 0: ${value}`);
  writer.uint64(value);
}

/** Bytes of a varint. */
function sizeOf(value: number): number {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}
