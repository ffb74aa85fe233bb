/**
 * Records as `chakra dump --format ndjson` prints them, back to graphs: for traces made or changed by
 * programs that read no protobuf. What a record leaves out the node does not have; a record with
 * nothing but an id and a type is a node. Times ns, sizes bytes.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { isAttributeKind } from './attribute.js';
import { maxWireType, nodeTypeTables } from './dialect.js';
import { Attr, type Attribute, type ExecutionGraph, type GraphMetadata } from './graph.js';
import { chakraVersion, GraphBuilder } from './graph-builder.js';
import { knownAttributes } from './known-attributes.js';
import { writeNodeFields } from './node-fields.js';
import { collectiveNames, type NodeType, nodeTypeNames } from './node-type.js';
import { readStreamMetadata, writeStreamMetadata } from './stream-metadata.js';

const count = z.number().int().nonnegative();
const integer = z.number().int();
const ids = z.array(count).default([]);
/** Beyond 2^53 as text. */
const micros = z.union([count, z.string().regex(/^\d+$/).transform(BigInt)]);
const io = z.strictObject({
  values: z.string().default(''),
  shapes: z.string().default(''),
  types: z.string().default(''),
});

const attributeSchema = z.strictObject({
  name: z.string(),
  kind: z.string().refine(isAttributeKind, 'expected a kind such as int64_val'),
  // Of an attribute without a value there is none.
  value: z.unknown().optional(),
  doc: z.string().optional(),
});

/** Beside the graph (`graph`, else `npu`) it belongs to. */
const ofGraph = { graph: count.optional(), npu: count.default(0) };

const nodeSchema = z.strictObject({
  kind: z.literal('node').optional(),
  ...ofGraph,
  id: count,
  name: z.string().default(''),
  type: z.string(),
  durationNs: count.default(0),
  dataDeps: ids,
  ctrlDeps: ids,
  isCpuOp: z.boolean().optional(),
  numOps: integer.optional(),
  tensorSizeBytes: count.optional(),
  tensorLoc: count.max(255).optional(),
  tensorDevice: count.optional(),
  tensorChannel: count.optional(),
  commType: z.string().optional(),
  commSizeBytes: integer.optional(),
  commSrc: integer.optional(),
  commDst: integer.optional(),
  commTag: integer.optional(),
  commPriority: integer.optional(),
  pgName: z.string().optional(),
  involvedDim: z.array(z.boolean()).max(31).optional(),
  fields: z.strictObject({ startTimeMicros: micros, inputs: io, outputs: io }).partial().optional(),
  extra: z.array(attributeSchema).default([]),
});
type NodeInput = z.infer<typeof nodeSchema>;

const graphSchema = z.strictObject({
  kind: z.literal('graph'),
  ...ofGraph,
  file: z.string().optional(),
  version: z.string().default(chakraVersion),
  nodeCount: count.optional(),
  attributes: z.array(attributeSchema).default([]),
});

/** Columns that take a record's number as it is. */
const plainColumns = [
  'numOps',
  'tensorSizeBytes',
  'tensorLoc',
  'tensorDevice',
  'tensorChannel',
  'commSizeBytes',
  'commSrc',
  'commDst',
  'commTag',
  'commPriority',
] as const;
const bitOfColumn = new Map(knownAttributes.map(({ column, bit }) => [column, bit]));

interface OpenGraph {
  readonly builder: GraphBuilder;
  readonly npu: number;
  metadata: GraphMetadata | undefined;
}

/** Takes records in any order of graphs; a graph's nodes are in the order in which they came. */
export class RecordReader {
  private readonly graphs = new Map<string, OpenGraph>();

  /** @param at place of the record for errors. @throws UserError */
  push(value: unknown, at: string): void {
    const isGraph = typeof value === 'object' && value !== null && 'kind' in value;
    if (isGraph && value.kind === 'graph') {
      const record = parseWith(graphSchema, value, at);
      const graph = this.graphOf(record);
      if (graph.metadata !== undefined) throw new UserError('a second record of its graph', { at });
      const attributes = record.attributes.map((attribute) => plainAttribute(attribute, at));
      graph.metadata = { version: record.version, attributes };
      return;
    }
    const record = parseWith(nodeSchema, value, at);
    addNode(this.graphOf(record).builder, record, at);
  }

  /** In order of first appearance. With several, each says in its metadata whose it is. */
  end(): ExecutionGraph[] {
    const isAlone = this.graphs.size === 1;
    return [...this.graphs.values()].map(({ builder, npu, metadata }) => {
      const known = metadata ?? { version: chakraVersion, attributes: [] };
      const fields = readStreamMetadata(known);
      if (isAlone && Object.keys(fields).length === 0) return builder.finish(known);
      const nodeCount = builder.nodeCount;
      const version = known.version === '' ? chakraVersion : known.version;
      return builder.finish(
        writeStreamMetadata({ npu, ...fields, nodeCount }, known.attributes, version),
      );
    });
  }

  private graphOf({ graph, npu }: { graph?: number | undefined; npu: number }): OpenGraph {
    const key = graph === undefined ? `npu ${npu}` : `graph ${graph}`;
    let open = this.graphs.get(key);
    if (open === undefined) {
      open = { builder: new GraphBuilder(), npu, metadata: undefined };
      this.graphs.set(key, open);
    }
    return open;
  }
}

function addNode(builder: GraphBuilder, record: NodeInput, at: string): void {
  const node = builder.addNode(typeNumber(record.type, at), record.name);
  const { columns } = builder;
  builder.setId(node, record.id);
  builder.setDuration(node, record.durationNs);
  for (const id of record.dataDeps) builder.addDepId(node, id);
  for (const id of record.ctrlDeps) builder.addCtrlDepId(node, id);
  for (const column of plainColumns) {
    const value = record[column];
    if (value === undefined) continue;
    columns[column][node] = value;
    columns.present[node] |= bitOfColumn.get(column) ?? 0;
    if (columns[column][node] !== value) throw new UserError(`${column} is too large`, { at });
  }
  const { isCpuOp, commType, pgName, involvedDim, fields } = record;
  if (isCpuOp !== undefined) builder.setCpuOp(node, isCpuOp);
  if (commType !== undefined) {
    columns.commType[node] = collectiveNumber(commType, at);
    columns.present[node] |= Attr.commType;
  }
  if (pgName !== undefined) builder.setGroup(node, pgName);
  if (involvedDim !== undefined) {
    const bits = involvedDim.reduce((sum, on, dim) => sum | (Number(on) << dim), 0);
    builder.setInvolvedDims(node, bits, involvedDim.length);
  }
  if (fields !== undefined) builder.addFields(node, writeNodeFields(fields));
  for (const attribute of record.extra) builder.addExtra(node, plainAttribute(attribute, at));
}

function typeNumber(name: string, at: string): NodeType {
  const known = nodeTypeNames.indexOf(name);
  if (known >= 0) return known as NodeType;
  const wire = Number(/^UNKNOWN_(\d+)$/.exec(name)?.[1] ?? Number.NaN);
  if (wire <= maxWireType) return nodeTypeTables.upstream.read[wire] as NodeType;
  throw new UserError(`type "${name}"`, {
    at,
    hint: `expected one of ${nodeTypeNames.join(', ')}`,
  });
}

function collectiveNumber(name: string, at: string): number {
  const known = collectiveNames.indexOf(name);
  if (known >= 0) return known;
  const wire = Number(/^UNKNOWN_(\d+)$/.exec(name)?.[1] ?? Number.NaN);
  if (wire <= 255) return wire;
  const hint = `expected one of ${collectiveNames.join(', ')}`;
  throw new UserError(`commType "${name}"`, { at, hint });
}

/** From how `dump` writes values: large integers and what is not finite as text, bytes in hex. */
function plainAttribute(record: z.infer<typeof attributeSchema>, at: string): Attribute {
  const { name, kind, doc } = record;
  try {
    const value = kind.endsWith('_list')
      ? (record.value as unknown[]).map((item) => plainValue(item, kind))
      : plainValue(record.value, kind);
    return {
      name,
      kind,
      value: value as Attribute['value'],
      ...(doc === undefined ? {} : { doc }),
    };
  } catch {
    throw new UserError(`attribute ${name}: not a value of ${kind}`, { at });
  }
}

/** @throws Error, of whatever kind, when the value is none of it */
function plainValue(value: unknown, kind: string): unknown {
  const scalar = kind.slice(0, kind.lastIndexOf('_'));
  if (kind === 'none') return undefined;
  if (scalar === 'string' || scalar === 'bool') {
    const wanted = scalar === 'bool' ? 'boolean' : 'string';
    if (typeof value === wanted) return value;
    throw new TypeError(scalar);
  }
  if (scalar === 'bytes') {
    if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/.test(value)) throw new TypeError(scalar);
    return Uint8Array.from(value.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }
  if (scalar === 'double' || scalar === 'float') {
    if (typeof value === 'number' || /^(NaN|-?Infinity)$/.test(String(value))) return Number(value);
    throw new TypeError(scalar);
  }
  return wholeValue(value, scalar);
}

/** @throws Error what is no integer of so many bits */
function wholeValue(value: unknown, scalar: string): number | bigint {
  const isText = typeof value === 'string' && /^-?\d+$/.test(value);
  if (typeof value !== 'number' && !isText) throw new TypeError(scalar);
  const whole = BigInt(value);
  const bits = scalar.endsWith('32') ? 32 : 64;
  const isUnsigned = scalar.startsWith('u') || scalar.startsWith('fixed');
  const fitting = isUnsigned ? BigInt.asUintN(bits, whole) : BigInt.asIntN(bits, whole);
  if (fitting !== whole) throw new RangeError(scalar);
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
}
