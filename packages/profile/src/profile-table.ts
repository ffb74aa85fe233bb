/**
 * A profile in memory: one row per measurement of one operator, all operators and TP degrees of one
 * (hardware, model, dtype) together, as columns. Durations are for one layer's operator on one rank,
 * in ns, without communication. A key column that a row does not use holds -1.
 */
import { assert } from '@astrolabe/base';
import { z } from 'zod';

/**
 * What a row measures and which keys it uses:
 * dense          operator over `tokens` new tokens
 * per_sequence   operator over one row of each of `sequences` sequences
 * attention      one prefill chunk of `tokens` after `contextTokens`, with `sequences` decodes at
 *                `decodeContextTokens` each; either part may be zero
 * moe            whole MoE block: `tokens` spread over `activatedExperts`
 * skew           as attention, the decodes' contexts averaging `decodeContextTokens` between
 *                `decodeContextMin` and `decodeContextMax`; `meanDurationNs` and `maxDurationNs` are
 *                the same batch with every context at the mean and at the maximum
 * collective     communication of `sizeBytes` among `sequences` devices, `devicesPerNode` to a node
 */
export const rowKinds = [
  'dense',
  'per_sequence',
  'attention',
  'moe',
  'skew',
  'collective',
] as const;
export type RowKind = (typeof rowKinds)[number];

/** Operators that are looked up as rows of one kind only; others are dense. */
export const kindOfOperator: ReadonlyMap<string, RowKind> = new Map([
  ['lm_head', 'per_sequence'],
  ['sampler', 'per_sequence'],
  ['attention', 'attention'],
  ['moe', 'moe'],
]);

/** How durations were taken. Rows of different kinds never mix in one table. */
export const measurementKinds = [
  'kernel', // sum of GPU kernel times from a profiler
  'cuda_event', // between device events, launch gaps included
  'wall_clock',
  'predicted', // another tool's regression over measurements
  'simulated',
  'roofline',
  'derived', // scaled from another profile
  'unknown',
] as const;
export type MeasurementKind = (typeof measurementKinds)[number];

const positive = z.number().positive();

/** Type of the KV cache that a profile was measured with, where it is not the model's: of `bf16-kvfp8`. */
export function kvDtypeOfProfile(dtype: string): string | undefined {
  return /-kv(.+)$/.exec(dtype)?.[1];
}

/** Facts of the device that tell what an engine's kernels take where the profiler timed others. */
const isolatedTimingSchema = z.strictObject({
  launchNs: positive.describe('shortest kernel'),
  bandwidthGBps: positive.describe('that streaming kernels reach'),
  packsQueryHeads: z.boolean().describe('attention packs query heads in every batch'),
});
export type IsolatedTiming = z.infer<typeof isolatedTimingSchema>;

export const profileInfoSchema = z.strictObject({
  hardware: z.string().min(1),
  model: z.string().min(1),
  dtype: z.string().min(1).describe('bf16, fp16, fp8, ...; -kv<dtype> when the KV cache differs'),
  source: z.string().describe('where the numbers come from'),
  measurement: z.enum(measurementKinds),
  engine: z.string().optional().describe('engine and version that ran the operators'),
  device: z.string().optional().describe('the device in its own words'),
  caution: z.string().optional().describe('what is known to be far off in it, for the trust card'),
  maxTokens: z.number().int().positive().optional().describe('largest batch measured, tokens'),
  maxSequences: z.number().int().positive().optional(),
  isolated: isolatedTimingSchema
    .optional()
    .describe(
      'operators were timed alone: plain modules in a loop, decodes and chunks in calls of their own',
    ),
  splitsBelow: positive
    .optional()
    .describe(
      'decodes at TP 1 (that many times the degree at others) below which attention kernels ' +
        'split contexts over processors',
    ),
  notes: z.array(z.string()).optional(),
});
export type ProfileInfo = z.infer<typeof profileInfoSchema>;

/** Integer key columns, in the order of the Arrow schema. */
export const keyColumns = [
  'tokens',
  'contextTokens',
  'sequences',
  'decodeContextTokens',
  'decodeContextMin',
  'decodeContextMax',
  'activatedExperts',
  'sizeBytes',
  'devicesPerNode',
] as const;
export type KeyColumn = (typeof keyColumns)[number];

const attentionKeys = ['tokens', 'contextTokens', 'sequences', 'decodeContextTokens'] as const;

/** What a row of a kind cannot be looked up without. */
export const requiredKeys: Readonly<Record<RowKind, readonly KeyColumn[]>> = {
  dense: ['tokens'],
  per_sequence: ['sequences'],
  attention: attentionKeys,
  moe: ['tokens', 'activatedExperts'],
  skew: [...attentionKeys, 'decodeContextMin', 'decodeContextMax'],
  collective: ['sequences', 'sizeBytes'],
};

/** Measured columns. NaN = not measured. */
export const valueColumns = [
  'durationNs',
  'meanDurationNs',
  'maxDurationNs',
  'powerWatts',
] as const;
export type ValueColumn = (typeof valueColumns)[number];

export interface ProfileTable {
  readonly info: ProfileInfo;
  readonly length: number;
  /** Index into `rowKinds`. */
  readonly kind: Uint8Array;
  /** Index into `operators`. */
  readonly operator: Int32Array;
  readonly operators: readonly string[];
  readonly tp: Int32Array;
  readonly keys: Readonly<Record<KeyColumn, Float64Array>>;
  readonly values: Readonly<Record<ValueColumn, Float64Array>>;
}

export type ProfileRow = {
  readonly kind: RowKind;
  readonly operator: string;
  readonly tp: number;
  readonly durationNs: number;
} & Partial<Record<KeyColumn, number>> &
  Partial<Record<ValueColumn, number>>;

/** Collects rows into columns. */
export class ProfileTableBuilder {
  private readonly operatorIndex = new Map<string, number>();
  private capacity = 1024;
  private kind = new Uint8Array(this.capacity);
  private operator = new Int32Array(this.capacity);
  private tp = new Int32Array(this.capacity);
  private readonly keys = record(keyColumns, () => new Float64Array(this.capacity));
  private readonly values = record(valueColumns, () => new Float64Array(this.capacity));
  length = 0;

  add(row: ProfileRow): void {
    if (this.length === this.capacity) this.grow();
    const at = this.length++;
    const kind = rowKinds.indexOf(row.kind);
    assert(kind >= 0, () => `unknown row kind ${row.kind}`);
    this.kind[at] = kind;
    this.operator[at] = this.operatorNumber(row.operator);
    this.tp[at] = row.tp;
    // Spelt out, not looped over: a bundle has tens of thousands of rows.
    const { keys, values } = this;
    keys.tokens[at] = row.tokens ?? -1;
    keys.contextTokens[at] = row.contextTokens ?? -1;
    keys.sequences[at] = row.sequences ?? -1;
    keys.decodeContextTokens[at] = row.decodeContextTokens ?? -1;
    keys.decodeContextMin[at] = row.decodeContextMin ?? -1;
    keys.decodeContextMax[at] = row.decodeContextMax ?? -1;
    keys.activatedExperts[at] = row.activatedExperts ?? -1;
    keys.sizeBytes[at] = row.sizeBytes ?? -1;
    keys.devicesPerNode[at] = row.devicesPerNode ?? -1;
    values.durationNs[at] = row.durationNs;
    values.meanDurationNs[at] = row.meanDurationNs ?? Number.NaN;
    values.maxDurationNs[at] = row.maxDurationNs ?? Number.NaN;
    values.powerWatts[at] = row.powerWatts ?? Number.NaN;
  }

  build(info: ProfileInfo): ProfileTable {
    const length = this.length;
    return {
      info,
      length,
      kind: this.kind.subarray(0, length),
      operator: this.operator.subarray(0, length),
      operators: [...this.operatorIndex.keys()],
      tp: this.tp.subarray(0, length),
      keys: record(keyColumns, (column) => this.keys[column].subarray(0, length)),
      values: record(valueColumns, (column) => this.values[column].subarray(0, length)),
    };
  }

  private operatorNumber(name: string): number {
    const known = this.operatorIndex.get(name);
    if (known !== undefined) return known;
    this.operatorIndex.set(name, this.operatorIndex.size);
    return this.operatorIndex.size - 1;
  }

  private grow(): void {
    this.capacity *= 2;
    this.kind = enlarge(this.kind, new Uint8Array(this.capacity));
    this.operator = enlarge(this.operator, new Int32Array(this.capacity));
    this.tp = enlarge(this.tp, new Int32Array(this.capacity));
    for (const column of keyColumns) {
      this.keys[column] = enlarge(this.keys[column], new Float64Array(this.capacity));
    }
    for (const column of valueColumns) {
      this.values[column] = enlarge(this.values[column], new Float64Array(this.capacity));
    }
  }
}

function enlarge<T extends Uint8Array | Int32Array | Float64Array>(old: T, wider: T): T {
  wider.set(old);
  return wider;
}

export function record<K extends string, V>(names: readonly K[], make: (name: K) => V) {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, V>;
}

/** One row as an object, without unused keys and unmeasured values. For tools, not for hot code. */
export function rowAt(table: ProfileTable, index: number): ProfileRow {
  const row: Record<string, unknown> = {
    kind: rowKinds[table.kind[index]],
    operator: table.operators[table.operator[index]],
    tp: table.tp[index],
  };
  for (const column of keyColumns) {
    const value = table.keys[column][index];
    if (value >= 0) row[column] = value;
  }
  for (const column of valueColumns) {
    const value = table.values[column][index];
    if (!Number.isNaN(value)) row[column] = value;
  }
  return row as ProfileRow;
}

export function* rowsOf(table: ProfileTable): Generator<ProfileRow> {
  for (let i = 0; i < table.length; i++) yield rowAt(table, i);
}

/** TP degrees with at least one row, ascending. */
export function tpDegreesOf(table: ProfileTable): number[] {
  return [...new Set(table.tp)].sort((a, b) => a - b);
}
