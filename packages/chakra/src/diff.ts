/** Differences between two graphs, node by node: matched by id, whatever their order in the file. */
import type { ExecutionGraph } from './graph.js';
import { metadataRecord, type NodeRecord, nodeRecord } from './node-record.js';

export interface Difference {
  /** Undefined: the metadata. */
  readonly id?: number;
  /** Name of the node in the graph that has it. */
  readonly name?: string;
  /** `node` when it is on one side only, else the field. */
  readonly field: string;
  readonly left: unknown;
  readonly right: unknown;
}

export interface DiffOptions {
  /** Leave out metadata. */
  readonly ignoreMetadata?: boolean;
  /** Leave out node names. */
  readonly ignoreNames?: boolean;
  /** Durations may differ by this share of the larger one. Default 0. */
  readonly durationTolerance?: number;
}

/** In order of the left graph's nodes, then those that only the right has. */
export function diffGraphs(
  left: ExecutionGraph,
  right: ExecutionGraph,
  options: DiffOptions = {},
): Difference[] {
  const differences: Difference[] = [];
  if (options.ignoreMetadata !== true) {
    const [a, b] = [metadataRecord(left), metadataRecord(right)];
    compare(a as unknown as Fields, b as unknown as Fields, {}, options, differences);
  }
  const rightOf = new Map<string, number>();
  for (const [key, node] of keys(right)) rightOf.set(key, node);
  for (const [key, node] of keys(left)) {
    const record = nodeRecord(left, node);
    const { id, name } = record;
    const other = rightOf.get(key);
    if (other === undefined) {
      differences.push({ id, name, field: 'node', left: record, right: undefined });
      continue;
    }
    rightOf.delete(key);
    const place = { id, name };
    compare(fieldsOf(record), fieldsOf(nodeRecord(right, other)), place, options, differences);
  }
  for (const node of rightOf.values()) {
    const record = nodeRecord(right, node);
    const { id, name } = record;
    differences.push({ id, name, field: 'node', left: undefined, right: record });
  }
  return differences;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(record: NodeRecord): Fields {
  return record as unknown as Fields;
}

/** An id may occur several times; the k-th on one side is compared with the k-th on the other. */
function* keys(graph: ExecutionGraph): Generator<[string, number]> {
  const seen = new Map<number, number>();
  for (let node = 0; node < graph.nodeCount; node++) {
    const id = graph.id[node];
    const count = seen.get(id) ?? 0;
    seen.set(id, count + 1);
    yield [`${id} ${count}`, node];
  }
}

function compare(
  left: Fields,
  right: Fields,
  place: { id?: number; name?: string },
  options: DiffOptions,
  differences: Difference[],
): void {
  for (const field of new Set([...Object.keys(left), ...Object.keys(right)])) {
    if (field === 'name' && options.ignoreNames === true) continue;
    const [a, b] = [left[field], right[field]];
    if (JSON.stringify(a) === JSON.stringify(b)) continue;
    if (field === 'durationNs' && isNear(a as number, b as number, options)) continue;
    differences.push({ ...place, field, left: a, right: b });
  }
}

function isNear(a: number, b: number, options: DiffOptions): boolean {
  return Math.abs(a - b) <= (options.durationTolerance ?? 0) * Math.max(a, b);
}

/** One line: `id 3 "gemm": durationNs: 1000 -> 2000`. */
export function formatDifference({ id, name, field, left, right }: Difference): string {
  const place = id === undefined ? 'metadata' : `id ${id}${name ? ` "${name}"` : ''}`;
  if (field === 'node') return `${place}: only in the ${left === undefined ? 'second' : 'first'}`;
  const text = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  return `${place}: ${field}: ${text(left)} -> ${text(right)}`;
}
