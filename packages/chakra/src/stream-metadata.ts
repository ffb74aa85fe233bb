/**
 * What the GlobalMetadata of our streams says about a graph, so that a reader can act without
 * waiting for the next one. Every field is an attribute of the metadata message; files of other
 * tools have none of them. Times ns.
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { Attribute, GraphMetadata } from './graph.js';
import { chakraVersion } from './graph-builder.js';

export const groupsSchema = z
  .record(z.string(), z.array(z.number().int().nonnegative()))
  .describe('communicator groups, in ring order');

export interface StreamMetadata {
  readonly instance?: number;
  /** The NPU that runs the graph. */
  readonly npu?: number;
  readonly iteration?: number;
  /** Nothing of the graph starts earlier. */
  readonly releaseNs?: number;
  /** Graphs of one NPU on one lane run one after another; lanes run side by side. */
  readonly lane?: number;
  /** Nodes that follow the metadata; without it the graph ends at the next metadata. */
  readonly nodeCount?: number;
  /** How many NPUs' graphs this iteration consists of. */
  readonly npuCount?: number;
  /** Communicator groups the graphs name: NPU ids in ring order. */
  readonly groups?: Readonly<Record<string, readonly number[]>>;
  /** Beside `advanceNs`: name and version of the program that writes the stream. */
  readonly writtenBy?: string;
  /** On a graph without nodes: run the clock to this time. */
  readonly advanceNs?: number;
}

/** Attribute names on the wire. `comm_groups` (JSON) and `written_by` are string_val, others int64_val. */
export const streamAttribute = {
  instance: 'instance',
  npu: 'npu',
  iteration: 'iteration',
  releaseNs: 'release_ns',
  lane: 'lane',
  nodeCount: 'node_count',
  npuCount: 'npu_count',
  groups: 'comm_groups',
  writtenBy: 'written_by',
  advanceNs: 'advance_ns',
} as const;

type Field = keyof typeof streamAttribute;
const fieldOf = new Map<string, Field>(
  Object.entries(streamAttribute).map(([field, name]) => [name, field as Field]),
);

/**
 * The stream fields of a metadata message; absent ones are left out.
 * @param at place of the graph for errors
 * @throws UserError when an attribute of ours does not hold what it must
 */
export function readStreamMetadata(metadata: GraphMetadata, at = 'graph'): StreamMetadata {
  const result: Partial<Record<Field, unknown>> = {};
  for (const attribute of metadata.attributes) {
    const field = fieldOf.get(attribute.name);
    if (field === undefined || field in result) continue;
    result[field] = readField(field, attribute, at);
  }
  return result as StreamMetadata;
}

function readField(field: Field, attribute: Attribute, at: string): unknown {
  if (field === 'groups') return readGroups(attribute, at);
  return field === 'writtenBy' ? String(attribute.value) : readCount(attribute, at);
}

function readCount(attribute: Attribute, at: string): number {
  const value = Number(attribute.value);
  if (typeof attribute.value === 'string' || !Number.isSafeInteger(value) || value < 0) {
    throw new UserError(`metadata attribute ${attribute.name}: expected an integer >= 0`, { at });
  }
  return value;
}

function readGroups(attribute: Attribute, at: string): Record<string, number[]> {
  const expected = 'metadata attribute comm_groups: expected {"name": [npu, ...]} as JSON';
  let value: unknown;
  try {
    value = JSON.parse(String(attribute.value));
  } catch {
    throw new UserError(expected, { at });
  }
  const groups = groupsSchema.safeParse(value);
  if (!groups.success) throw new UserError(expected, { at });
  return groups.data;
}

/** A metadata message with these fields, then the other attributes. Same input, same bytes. */
export function writeStreamMetadata(
  fields: StreamMetadata,
  others: readonly Attribute[] = [],
  version: string = chakraVersion,
): GraphMetadata {
  const attributes: Attribute[] = [];
  for (const field of Object.keys(streamAttribute) as Field[]) {
    const value = fields[field];
    if (value === undefined) continue;
    const name = streamAttribute[field];
    if (field === 'groups') {
      if (Object.keys(value).length === 0) continue;
      attributes.push({ name, kind: 'string_val', value: JSON.stringify(value) });
    } else if (field === 'writtenBy') {
      attributes.push({ name, kind: 'string_val', value: value as string });
    } else {
      attributes.push({ name, kind: 'int64_val', value: value as number });
    }
  }
  for (const attribute of others) {
    if (!fieldOf.has(attribute.name)) attributes.push(attribute);
  }
  return { version, attributes };
}
