/**
 * A node and a graph's metadata as plain records: what `chakra dump` prints and `chakra diff`
 * compares. camelCase keys, absent attributes left out, enums by name, times ns, sizes bytes.
 */
import { unknownTypeOf } from './dialect.js';
import { Attr, type Attribute, type ExecutionGraph } from './graph.js';
import { type NodeFields, nodeFields } from './node-fields.js';
import { collectiveNames, nodeTypeNames } from './node-type.js';
import { streamAttribute } from './stream-metadata.js';

export interface AttributeRecord {
  readonly name: string;
  readonly kind: string;
  /** 64-bit integers beyond 2^53 as text, bytes in hex. */
  readonly value: unknown;
  readonly doc?: string;
}

export interface NodeRecord {
  readonly id: number;
  readonly name: string;
  /** Name of the upstream enum, PIM_COMP, or UNKNOWN_<number>. */
  readonly type: string;
  readonly durationNs: number;
  readonly dataDeps: readonly number[];
  readonly ctrlDeps: readonly number[];
  readonly isCpuOp?: boolean;
  readonly numOps?: number;
  readonly tensorSizeBytes?: number;
  readonly tensorLoc?: number;
  readonly tensorDevice?: number;
  readonly tensorChannel?: number;
  readonly commType?: string;
  readonly commSizeBytes?: number;
  readonly commSrc?: number;
  readonly commDst?: number;
  readonly commTag?: number;
  readonly commPriority?: number;
  readonly pgName?: string;
  readonly involvedDim?: readonly boolean[];
  readonly fields?: NodeFields;
  readonly extra?: readonly AttributeRecord[];
}

export function nodeTypeName(type: number): string {
  const unknown = unknownTypeOf(type);
  return unknown === undefined ? nodeTypeNames[type] : `UNKNOWN_${unknown}`;
}

export function collectiveName(commType: number): string {
  return collectiveNames[commType] ?? `UNKNOWN_${commType}`;
}

export function nodeRecord(graph: ExecutionGraph, node: number): NodeRecord {
  const present = graph.present[node];
  const has = (bit: number): boolean => (present & bit) !== 0;
  const deps = (start: Int32Array, dep: Float64Array): number[] => [
    ...dep.subarray(start[node], start[node + 1]),
  ];
  const fields = nodeFields(graph, node);
  const extra = graph.extra.get(node);
  return {
    id: graph.id[node],
    name: graph.strings[graph.name[node]],
    type: nodeTypeName(graph.type[node]),
    durationNs: graph.durationNs[node],
    dataDeps: deps(graph.dataDepStart, graph.dataDep),
    ctrlDeps: deps(graph.ctrlDepStart, graph.ctrlDep),
    ...(has(Attr.isCpuOp) && { isCpuOp: graph.isCpuOp[node] === 1 }),
    ...(has(Attr.numOps) && { numOps: graph.numOps[node] }),
    ...(has(Attr.tensorSize) && { tensorSizeBytes: graph.tensorSizeBytes[node] }),
    ...(has(Attr.tensorLoc) && { tensorLoc: graph.tensorLoc[node] }),
    ...(has(Attr.tensorDevice) && { tensorDevice: graph.tensorDevice[node] }),
    ...(has(Attr.tensorChannel) && { tensorChannel: graph.tensorChannel[node] }),
    ...(has(Attr.commType) && { commType: collectiveName(graph.commType[node]) }),
    ...(has(Attr.commSize) && { commSizeBytes: graph.commSizeBytes[node] }),
    ...(has(Attr.commSrc) && { commSrc: graph.commSrc[node] }),
    ...(has(Attr.commDst) && { commDst: graph.commDst[node] }),
    ...(has(Attr.commTag) && { commTag: graph.commTag[node] }),
    ...(has(Attr.commPriority) && { commPriority: graph.commPriority[node] }),
    ...(has(Attr.pgName) && { pgName: graph.strings[graph.pgName[node]] }),
    ...(has(Attr.involvedDim) && {
      involvedDim: Array.from(
        { length: graph.involvedDimCount[node] },
        (_, dim) => ((graph.involvedDims[node] >>> dim) & 1) === 1,
      ),
    }),
    ...(Object.keys(fields).length > 0 && { fields }),
    ...(extra !== undefined && { extra: extra.map(attributeRecord) }),
  };
}

function attributeRecord(attribute: Attribute): AttributeRecord {
  const { name, kind, value, doc } = attribute;
  const record = { name, kind, value: plain(value) };
  return doc === undefined ? record : { ...record, doc };
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) {
    return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

export interface MetadataRecord {
  readonly version: string;
  readonly nodeCount: number;
  readonly attributes: readonly AttributeRecord[];
}

/** `nodeCount` is the graph's own; the attribute of that name is left out. */
export function metadataRecord(graph: ExecutionGraph): MetadataRecord {
  const { version, attributes } = graph.metadata;
  return {
    version,
    nodeCount: graph.nodeCount,
    attributes: attributes
      .filter((attribute) => attribute.name !== streamAttribute.nodeCount)
      .map(attributeRecord),
  };
}
