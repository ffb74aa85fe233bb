/**
 * Fits attention: small grids for decodes alone and a chunk alone, a low-rank product for both. The
 * grids are bilinear between few knots while time curves between them, so the fit is to the measured
 * points and, with the weight of what serving meets, to the interpolated table between them: sums
 * over batches come out right although single values between knots are a little off.
 */
import { Random, UserError } from '@astrolabe/base';
import {
  AttentionGrid,
  type AttentionPoints,
  compileFitted,
  type FitError,
  type FittedTp,
  fillsGrid,
} from '@astrolabe/profile';
import { summarise } from './fit-errors.js';
import { fitGrid, type GridPoints, type Knots, spreadKnots, toFittedGrid } from './fit-grid.js';
import { fitMixed } from './fit-mixed.js';

export interface AttentionFitOptions {
  readonly chunkKnots: number;
  readonly contextKnots: number;
  readonly decodeContextKnots: number;
  readonly mixedRank: number;
}

export type FittedAttention = NonNullable<FittedTp['attention']>;

/** Contexts this short are told apart by a constant, not by a factor, tokens. */
const shortContext = 128;
const gridSamples = 2000;
const mixedSamples = 8000;
/** Weight of a sample against a measured point at the edge of what serving meets. */
const sampleWeight = 5;
const folds = 5;

/** @throws UserError scattered points: between them a fit has nothing to hold on to */
export function requireGrids(points: AttentionPoints): void {
  const parts = [
    ['decodes', (q: number, n: number) => q === 0 && n > 0],
    ['one chunk', (q: number, n: number) => q > 0 && n === 0],
    ['mixed', (q: number, n: number) => q > 0 && n > 0],
  ] as const;
  for (const [what, wanted] of parts) {
    const { chunk, context, decodes, decodeContext } = subset(points, wanted);
    if (chunk.length === 0 || fillsGrid([chunk, context, decodes, decodeContext])) continue;
    throw new UserError(
      `attention, ${what}: ${chunk.length} points that form no grid cannot be fitted`,
      { hint: 'use the table itself: lookups go by its nearest points' },
    );
  }
}

export function fitAttention(
  points: AttentionPoints,
  options: AttentionFitOptions,
): FittedAttention {
  const decodes = subset(points, (q, n) => q === 0 && n > 0);
  const chunks = subset(points, (q, n) => q > 0 && n === 0);
  const both = subset(points, (q, n) => q > 0 && n > 0);
  const table = new AttentionGrid(points);
  const random = new Random(1, 'attention fit');
  const fitted: FittedAttention = {};
  if (decodes.timeNs.length > 0) {
    const knots = {
      rows: distinct(decodes.decodes),
      columns: knotsOf(decodes.decodeContext, options.decodeContextKnots),
    };
    const sampled = addSamples(decodes, gridSamples, table, () => [
      0,
      0,
      logUniform(random, knots.rows),
      logUniform(random, knots.columns),
    ]);
    fitted.decode = fitted2(sampled.decodes, sampled.decodeContext, sampled.timeNs, knots);
  }
  if (chunks.timeNs.length > 0) {
    const knots = {
      rows: knotsOf(chunks.chunk, options.chunkKnots),
      columns: knotsOf(chunks.context, options.contextKnots),
    };
    const sampled = addSamples(chunks, gridSamples, table, () => [
      logUniform(random, knots.rows),
      random.uniform() < 0.4 ? 0 : logUniform(random, knots.columns),
      0,
      0,
    ]);
    fitted.prefill = fitted2(sampled.chunk, sampled.context, sampled.timeNs, knots);
  }
  if (both.timeNs.length > 0) fitted.mixed = fitBoth(both, table, random, options);
  return fitted;
}

function fitted2(row: Float64Array, column: Float64Array, ns: Float64Array, knots: Knots) {
  const points: GridPoints = { row, column, ns };
  return toFittedGrid(fitGrid(points, knots).map(Math.round), knots);
}

function fitBoth(
  points: AttentionPoints,
  table: AttentionGrid,
  random: Random,
  options: AttentionFitOptions,
): NonNullable<FittedAttention['mixed']> {
  const chunkKnots = {
    rows: knotsOf(points.chunk, options.chunkKnots),
    columns: knotsOf(points.context, options.contextKnots),
  };
  const decodeKnots = {
    rows: distinct(points.decodes),
    columns: knotsOf(points.decodeContext, options.decodeContextKnots),
  };
  const measured = points.timeNs.length;
  const sampled = addSamples(points, mixedSamples, table, () => [
    logUniform(random, chunkKnots.rows),
    random.uniform() < 0.6 ? 0 : Math.min(logUniform(random, chunkKnots.columns), 4096),
    busy(random, decodeKnots.rows),
    Math.min(64 + logUniform(random, decodeKnots.columns), 4096),
  ]);
  const rank = options.mixedRank;
  const fit = fitMixed(sampled, chunkKnots, decodeKnots, rank, (i) =>
    i < measured ? 1 : sampleWeight,
  );
  const factors = (values: Float64Array, knots: Knots) =>
    Array.from({ length: rank }, (_, r) => {
      const factor = values.filter((_value, i) => i % rank === r);
      return toFittedGrid(factor.map(significant), knots);
    });
  return { chunk: factors(fit.chunk, chunkKnots), decode: factors(fit.decode, decodeKnots) };
}

/** Five significant digits: measurements repeat to about three. */
function significant(value: number): number {
  return Number(value.toPrecision(5));
}

/** Whole number between the first and last key, uniform in log(1 + key). */
function logUniform(random: Random, keys: Float64Array): number {
  const low = Math.log1p(keys[0]);
  const high = Math.log1p(keys[keys.length - 1]);
  return Math.round(Math.expm1(low + (high - low) * random.uniform()));
}

/** As `logUniform`, or half of the time near the top: a loaded engine runs many decodes. */
function busy(random: Random, counts: Float64Array): number {
  if (random.uniform() < 0.5) return logUniform(random, counts);
  return Math.ceil(counts[counts.length - 1] * (0.25 + 0.75 * random.uniform()));
}

/** The points and `count` more from the interpolated table. */
function addSamples(
  points: AttentionPoints,
  count: number,
  table: AttentionGrid,
  draw: () => readonly [number, number, number, number],
): AttentionPoints {
  const samples = Array.from({ length: count }, draw);
  const column = (measured: Float64Array, i: number): Float64Array => {
    const all = new Float64Array(measured.length + count);
    all.set(measured);
    for (let s = 0; s < count; s++) all[measured.length + s] = samples[s][i];
    return all;
  };
  const times = column(points.timeNs, 0);
  samples.forEach((key, s) => {
    times[points.timeNs.length + s] = table.at(...key);
  });
  return {
    chunk: column(points.chunk, 0),
    context: column(points.context, 1),
    decodes: column(points.decodes, 2),
    decodeContext: column(points.decodeContext, 3),
    timeNs: times,
  };
}

/** Errors on every fifth point, left out of both the table and the fit; ends of axes stay in. */
export function attentionErrors(
  points: AttentionPoints,
  options: AttentionFitOptions,
): Record<string, FitError> {
  const errors: Record<string, number[]> = {};
  const ends = {
    chunk: points.chunk.reduce((a, b) => Math.max(a, b), 0),
    context: points.context.reduce((a, b) => Math.max(a, b), 0),
    decodes: points.decodes.reduce((a, b) => Math.max(a, b), 0),
    decodeContext: points.decodeContext.reduce((a, b) => Math.max(a, b), 0),
  };
  for (let fold = 0; fold < folds; fold++) {
    const isOut = (i: number): boolean =>
      i % folds === fold &&
      points.chunk[i] !== ends.chunk &&
      points.context[i] !== ends.context &&
      points.decodes[i] !== ends.decodes &&
      points.decodeContext[i] !== ends.decodeContext;
    const attention = fitAttention(
      keep(points, (i) => !isOut(i)),
      options,
    );
    const model = compileFitted({ dense: {}, perSequence: {}, attention, errors: {} }).attention;
    if (model === undefined) continue;
    for (let i = 0; i < points.timeNs.length; i++) {
      if (!isOut(i)) continue;
      const [q, n] = [points.chunk[i], points.decodes[i]];
      const name = q === 0 ? 'decodes' : n === 0 ? 'one chunk' : 'mixed';
      const ns = model.at(q, points.context[i], n, points.decodeContext[i]);
      errors[name] ??= [];
      errors[name].push(ns / points.timeNs[i] - 1);
    }
  }
  return Object.fromEntries(
    Object.entries(errors).map(([name, list]) => [`attention: ${name}`, summarise(list)]),
  );
}

function subset(
  points: AttentionPoints,
  wanted: (chunk: number, decodes: number) => boolean,
): AttentionPoints {
  return keep(points, (i) => wanted(points.chunk[i], points.decodes[i]));
}

function keep(points: AttentionPoints, wanted: (index: number) => boolean): AttentionPoints {
  const of = (column: Float64Array): Float64Array => column.filter((_, i) => wanted(i));
  return {
    chunk: of(points.chunk),
    context: of(points.context),
    decodes: of(points.decodes),
    decodeContext: of(points.decodeContext),
    timeNs: of(points.timeNs),
  };
}

export function distinct(column: Float64Array): Float64Array {
  return Float64Array.from(new Set(column)).sort();
}

function knotsOf(column: Float64Array, count: number): Float64Array {
  return spreadKnots(distinct(column), count, shortContext);
}
