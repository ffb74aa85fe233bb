/**
 * A fitted latency model: a few hundred numbers in place of a measured table, as readable JSON with
 * its source and its own error card. Dense and per-sequence operators are piecewise linear; decodes
 * alone and a chunk alone are small grids; both together are a low-rank product of two such grids,
 *   t(q, c, n, k) = sum over r of chunk_r(q, c) * decode_r(n, k),
 * since a chunk beside decodes costs about the sum of both and a little of their interplay. ns.
 */
import { assert, parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { DecodeTail } from './decode-tail.js';
import { type BeyondLast, Grid } from './grid.js';
import { MoeGrid } from './moe-grid.js';
import { lookupState, OperatorLine } from './operator-line.js';
import { profileInfoSchema } from './profile-table.js';
import type { AttentionLookup, CompiledTables, TableSource } from './table-model.js';

const numbers = z.array(z.number()).min(1);
const count = z.number().int().nonnegative();

const ascends = (values: readonly number[]): boolean =>
  values.every((value, i) => i === 0 || value > values[i - 1]);

const lineSchema = z
  .strictObject({
    at: z.array(count).min(1).describe('tokens or sequences, ascending'),
    ns: z.array(z.number().nonnegative()).min(1),
  })
  .refine((line) => line.at.length === line.ns.length, 'at and ns differ in length')
  .refine((line) => ascends(line.at), 'expected ascending at');

const gridSchema = z
  .strictObject({
    rows: numbers.describe('chunk tokens, decode counts or activated experts, ascending'),
    columns: numbers.describe('context tokens (moe: tokens), ascending'),
    ns: z.array(numbers).describe('one list per row'),
  })
  .refine(({ rows, ns }) => ns.length === rows.length, 'expected a list in ns per row')
  .refine(
    ({ columns, ns }) => ns.every((row) => row.length === columns.length),
    'expected a value per column in each list of ns',
  )
  .refine(({ rows, columns }) => ascends(rows) && ascends(columns), 'expected ascending axes');

/** @see TailPoints */
const tailSchema = z
  .strictObject({
    chunkTokens: count.describe('0: decodes alone'),
    decodes: count,
    longest: z.array(count).min(1).describe('requests at the longest context, ascending'),
    share: z.array(z.number().min(0).max(1)).describe('of the way from mean to longest'),
  })
  .refine(({ longest, share }) => longest.length === share.length, 'lists differ in length')
  .refine(({ longest }) => ascends(longest), 'expected ascending longest');

const errorSchema = z.strictObject({
  points: count,
  meanAbsPercent: z.number(),
  p95AbsPercent: z.number(),
  biasPercent: z.number().describe('mean signed error, fitted less measured'),
});

const tpSchema = z.strictObject({
  dense: z.record(z.string(), lineSchema),
  perSequence: z.record(z.string(), lineSchema),
  attention: z
    .strictObject({
      decode: gridSchema.optional(),
      prefill: gridSchema.optional(),
      mixed: z
        .strictObject({ chunk: z.array(gridSchema).min(1), decode: z.array(gridSchema).min(1) })
        .optional()
        .describe('factors, chunk[r] in ns and decode[r] without unit'),
    })
    .optional(),
  moe: gridSchema.optional(),
  tail: z
    .array(tailSchema)
    .optional()
    .describe('what decodes of unequal context take longer than as many of their mean'),
  errors: z.record(z.string(), errorSchema).describe('on points left out of the fit'),
});

export const fittedFormat = 'astrolabe.fitted-profile';

const fittedProfileSchema = z.strictObject({
  format: z.literal(fittedFormat),
  units: z.string(),
  info: profileInfoSchema,
  tp: z.record(z.string(), tpSchema),
});

export type FittedProfile = z.infer<typeof fittedProfileSchema>;
export type FittedTp = z.infer<typeof tpSchema>;
export type FittedLine = z.infer<typeof lineSchema>;
export type FittedGrid = z.infer<typeof gridSchema>;
export type FitError = z.infer<typeof errorSchema>;

/** @throws UserError not a fitted profile */
export function parseFitted(value: unknown, at: string): FittedProfile {
  const fitted = parseWith(fittedProfileSchema, value, at);
  if (Object.keys(fitted.tp).length === 0) throw new UserError('no TP degree in it', { at });
  return fitted;
}

export function fittedTables(fitted: FittedProfile): TableSource {
  const tpDegrees = Object.keys(fitted.tp)
    .map(Number)
    .sort((a, b) => a - b);
  const { info } = fitted;
  const splitsBelow = info.splitsBelow ?? 0;
  return { info, tpDegrees, compile: (tp) => compileFitted(fitted.tp[tp], tp * splitsBelow) };
}

/** @param splitsBelow decodes below which attention kernels split contexts; 0: not known */
export function compileFitted(fitted: FittedTp, splitsBelow = 0): CompiledTables {
  const compileAll = (lines: Record<string, FittedLine>): Map<string, OperatorLine> =>
    new Map(
      Object.entries(lines).map(([name, line]) => [
        name,
        new OperatorLine(line.at.map((at, i) => [at, line.ns[i]] as const)),
      ]),
    );
  return {
    dense: compileAll(fitted.dense),
    perSequence: compileAll(fitted.perSequence),
    attention: fitted.attention === undefined ? undefined : new FittedAttention(fitted.attention),
    moe: fitted.moe === undefined ? undefined : MoeGrid.fromGrid(fittedGrid(fitted.moe)),
    tail: new DecodeTail(fitted.tail ?? [], splitsBelow),
  };
}

function fittedGrid(fitted: FittedGrid, beyondLast: BeyondLast = 'rises'): Grid {
  const { rows, columns, ns } = fitted;
  assert(ns.length === rows.length, 'a fitted grid has one list per row');
  const values = Float64Array.from(ns.flat());
  const axes = [Float64Array.from(rows), Float64Array.from(columns)];
  return new Grid(axes, values, new Uint8Array(values.length), beyondLast);
}

class FittedAttention implements AttentionLookup {
  readonly minChunk: number;
  readonly maxChunk: number;
  state = 0;
  private readonly decode: Grid | undefined;
  private readonly prefill: Grid | undefined;
  private readonly chunkFactors: readonly Grid[];
  private readonly decodeFactors: readonly Grid[];
  private readonly topMixed: number;
  /** Of the mixed batches, tokens. */
  private readonly lastContext: number;
  private readonly lastDecodeContext: number;

  constructor(fitted: NonNullable<FittedTp['attention']>) {
    this.decode = fitted.decode === undefined ? undefined : fittedGrid(fitted.decode);
    this.prefill = fitted.prefill === undefined ? undefined : fittedGrid(fitted.prefill);
    const factor = (grid: FittedGrid): Grid => fittedGrid(grid, 'continues');
    this.chunkFactors = (fitted.mixed?.chunk ?? []).map(factor);
    this.decodeFactors = (fitted.mixed?.decode ?? []).map(factor);
    this.lastContext = lastOf(this.chunkFactors[0]?.axes[1]);
    this.lastDecodeContext = lastOf(this.decodeFactors[0]?.axes[1]);
    const chunks = this.prefill?.axes[0];
    this.minChunk = chunks?.[0] ?? 1;
    this.maxChunk = chunks?.[chunks.length - 1] ?? Number.POSITIVE_INFINITY;
    const counts = this.decodeFactors[0]?.axes[0];
    this.topMixed = counts?.[counts.length - 1] ?? 0;
  }

  get knowsDecodes(): boolean {
    return this.decode !== undefined;
  }

  get knowsChunks(): boolean {
    return this.prefill !== undefined;
  }

  at(chunk: number, context: number, decodes: number, decodeContext: number): number {
    this.state = lookupState.exact;
    if (chunk <= 0) return this.from(this.decode, decodes, decodeContext);
    if (decodes <= 0 || this.chunkFactors.length === 0) {
      const alone = this.from(this.prefill, chunk, context);
      return decodes <= 0 ? alone : alone + this.from(this.decode, decodes, decodeContext);
    }
    // More decodes than were ever measured beside a chunk cost what they cost alone.
    const n = Math.min(decodes, this.topMixed);
    let timeNs =
      context <= this.lastContext && decodeContext <= this.lastDecodeContext
        ? this.product(chunk, context, n, decodeContext)
        : this.mixedBeyond(chunk, context, n, decodeContext);
    if (decodes > n) {
      const more = this.from(this.decode, decodes, decodeContext);
      timeNs += Math.max(0, more - this.from(this.decode, n, decodeContext));
    }
    return timeNs;
  }

  /**
   * Contexts beyond the grid. The keys of the chunk and those of the decodes are work of their own, so what
   * longer ones of each cost is added; in the product of two factors that were both continued it would be
   * multiplied, to times below 0. A mix never takes less than at the end of the grid, nor falls behind the
   * slower half alone. Fits up to 2048 tokens of context then find mixes of up to 16384 within 10 to 16 %
   * instead of 14 to 25 %, at worst 81 % too fast instead of 100 (docs/profiles.md).
   */
  private mixedBeyond(q: number, context: number, n: number, decodeContext: number): number {
    const c = Math.min(context, this.lastContext);
    const k = Math.min(decodeContext, this.lastDecodeContext);
    const last = this.product(q, c, n, k);
    const added = this.product(q, context, n, k) + this.product(q, c, n, decodeContext) - last;
    const slower = this.slower(q, context, n, decodeContext);
    const bound = slower * Math.min(1, last / this.slower(q, c, n, k));
    return Math.max(added, last, bound);
  }

  private product(chunk: number, context: number, decodes: number, decodeContext: number): number {
    let timeNs = 0;
    for (let r = 0; r < this.chunkFactors.length; r++) {
      const factor = this.from(this.chunkFactors[r], chunk, context);
      timeNs += factor * this.from(this.decodeFactors[r], decodes, decodeContext);
    }
    return timeNs;
  }

  /** Of a chunk and decodes alone; at least 1 ns. */
  private slower(chunk: number, context: number, decodes: number, decodeContext: number): number {
    const alone = this.from(this.prefill, chunk, context);
    return Math.max(1, alone, this.from(this.decode, decodes, decodeContext));
  }

  private from(grid: Grid | undefined, x: number, y: number): number {
    if (grid === undefined) return 0;
    const value = grid.at2(x, y);
    if (grid.state > this.state) this.state = grid.state;
    return value;
  }
}

function lastOf(axis: Float64Array | undefined): number {
  return axis === undefined ? Number.POSITIVE_INFINITY : axis[axis.length - 1];
}
