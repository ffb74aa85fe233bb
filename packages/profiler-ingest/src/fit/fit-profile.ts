/**
 * Fits a compact latency model to a measured profile: per TP degree piecewise-linear operators, small
 * grids for attention and MoE, a low-rank product for mixed batches, and the error of all of it on
 * points left out of the fit.
 */
import {
  type AttentionPoints,
  type FitError,
  type FittedLine,
  type FittedProfile,
  type FittedTp,
  fittedFormat,
  measureSkew,
  type ProfileTable,
  record,
  rowKinds,
  type SkewPoints,
  tpDegreesOf,
} from '@astrolabe/profile';
import { gridErrors, lineErrors, mixedErrors } from './fit-errors.js';
import { fitGrid, type GridPoints, type Knots, spreadKnots, toFittedGrid } from './fit-grid.js';
import { fitLine, type LinePoint, linePoints } from './fit-line.js';
import { fitMixed } from './fit-mixed.js';

export interface FitOptions {
  /** Root mean square error of a line, relative to its operator's weight in the block. */
  readonly tolerance: number;
  readonly maxLineKnots: number;
  readonly chunkKnots: number;
  readonly contextKnots: number;
  readonly decodeContextKnots: number;
  readonly mixedRank: number;
}

export const defaultFit: FitOptions = {
  tolerance: 0.005,
  maxLineKnots: 24,
  chunkKnots: 8,
  contextKnots: 7,
  decodeContextKnots: 9,
  mixedRank: 3,
};

/** Contexts this short are told apart by a constant, not by a factor, tokens. */
const shortContext = 128;

export function fitProfile(table: ProfileTable, options: FitOptions = defaultFit): FittedProfile {
  const tp: Record<string, FittedTp> = {};
  for (const degree of tpDegreesOf(table)) tp[degree] = fitTp(table, degree, options);
  return {
    format: fittedFormat,
    units: 'times ns, one layer on one rank, without communication; errors percent',
    info: { ...table.info, source: `fitted to: ${table.info.source}` },
    tp,
  };
}

function fitTp(table: ProfileTable, tp: number, options: FitOptions): FittedTp {
  const rows = record(rowKinds, () => [] as number[]);
  for (let i = 0; i < table.length; i++) {
    if (table.tp[i] === tp) rows[rowKinds[table.kind[i]]].push(i);
  }
  const errors: Record<string, FitError> = {};
  const fitted: FittedTp = {
    dense: fitLines(table, rows.dense, table.keys.tokens, options, errors),
    perSequence: fitLines(table, rows.per_sequence, table.keys.sequences, options, errors),
    errors,
  };
  if (rows.attention.length > 0) {
    fitted.attention = fitAttention(attentionPoints(table, rows.attention), options, errors);
  }
  if (rows.moe.length > 0) fitted.moe = fitMoe(table, rows.moe, errors);
  if (rows.skew.length > 0) {
    const { alone, mixed } = measureSkew(table, tp);
    fitted.skew = { alone: rounded(alone), mixed: rounded(mixed) };
  }
  return fitted;
}

function rounded(points: SkewPoints): { decodes: number[]; share: number[] } {
  return { decodes: [...points.decodes], share: points.share.map(significant) };
}

/** Five significant digits: measurements repeat to about three. */
function significant(value: number): number {
  return Number(value.toPrecision(5));
}

function fitLines(
  table: ProfileTable,
  rows: readonly number[],
  key: Float64Array,
  options: FitOptions,
  errors: Record<string, FitError>,
): Record<string, FittedLine> {
  const points = new Map<string, [number, number][]>();
  for (const i of rows) {
    const name = table.operators[table.operator[i]];
    const list = points.get(name) ?? [];
    list.push([key[i], table.values.durationNs[i]]);
    points.set(name, list);
  }
  const lines = new Map([...points].map(([name, list]) => [name, linePoints(list)]));
  const block = blockTimes([...lines.values()]);
  const fitted: Record<string, FittedLine> = {};
  for (const [name, own] of lines) {
    const scaled = own.map((p) => ({ ...p, scaleNs: p.ns + 0.1 * (block.get(p.at) as number) }));
    const line = fitLine(scaled, options.tolerance, options.maxLineKnots);
    fitted[name] = { at: line.at, ns: line.ns.map(Math.round) };
    errors[name] = lineErrors(scaled, line);
  }
  return fitted;
}

/** Time of all operators together at each key: a small operator need not be followed as closely. */
function blockTimes(lines: readonly (readonly LinePoint[])[]): Map<number, number> {
  const total = new Map<number, number>();
  for (const line of lines) {
    for (const { at, ns } of line) total.set(at, (total.get(at) ?? 0) + ns);
  }
  return total;
}

/** Attention rows as columns; unused keys are 0. */
export function attentionPoints(table: ProfileTable, rows: readonly number[]): AttentionPoints {
  const pick = (column: Float64Array): Float64Array =>
    Float64Array.from(rows, (i) => Math.max(0, column[i]));
  return {
    chunk: pick(table.keys.tokens),
    context: pick(table.keys.contextTokens),
    decodes: pick(table.keys.sequences),
    decodeContext: pick(table.keys.decodeContextTokens),
    timeNs: pick(table.values.durationNs),
  };
}

function fitAttention(
  points: AttentionPoints,
  options: FitOptions,
  errors: Record<string, FitError>,
): NonNullable<FittedTp['attention']> {
  const decodes = subset(points, (q, n) => q === 0 && n > 0);
  const chunks = subset(points, (q, n) => q > 0 && n === 0);
  const both = subset(points, (q, n) => q > 0 && n > 0);
  const fitted: NonNullable<FittedTp['attention']> = {};
  if (decodes.timeNs.length > 0) {
    const knots = {
      rows: distinct(decodes.decodes),
      columns: knotsOf(decodes.decodeContext, options.decodeContextKnots),
    };
    const grid = { row: decodes.decodes, column: decodes.decodeContext, ns: decodes.timeNs };
    fitted.decode = fitAndCheck(grid, knots, 'attention: decodes', errors);
  }
  if (chunks.timeNs.length > 0) {
    const knots = {
      rows: knotsOf(chunks.chunk, options.chunkKnots),
      columns: knotsOf(chunks.context, options.contextKnots),
    };
    const grid = { row: chunks.chunk, column: chunks.context, ns: chunks.timeNs };
    fitted.prefill = fitAndCheck(grid, knots, 'attention: one chunk', errors);
  }
  if (both.timeNs.length > 0) fitted.mixed = fitBoth(both, options, errors);
  return fitted;
}

function fitBoth(
  points: AttentionPoints,
  options: FitOptions,
  errors: Record<string, FitError>,
): NonNullable<NonNullable<FittedTp['attention']>['mixed']> {
  const chunkKnots = {
    rows: knotsOf(points.chunk, options.chunkKnots),
    columns: knotsOf(points.context, options.contextKnots),
  };
  const decodeKnots = {
    rows: distinct(points.decodes),
    columns: knotsOf(points.decodeContext, options.decodeContextKnots),
  };
  const rank = options.mixedRank;
  const weight = (i: number): number => plausibility(points, i);
  const fit = fitMixed(points, chunkKnots, decodeKnots, rank, weight);
  errors['attention: mixed'] = mixedErrors(points, chunkKnots, decodeKnots, rank, weight);
  const factors = (values: Float64Array, knots: Knots) =>
    Array.from({ length: rank }, (_, r) => {
      const factor = values.filter((_value, i) => i % rank === r).map(significant);
      return toFittedGrid(factor, knots);
    });
  return { chunk: factors(fit.chunk, chunkKnots), decode: factors(fit.decode, decodeKnots) };
}

/** Weight of a mix: those that serving meets count more than the far corners of the grid. */
function plausibility(points: AttentionPoints, i: number): number {
  const { decodes, decodeContext, context } = points;
  const usual = decodes[i] >= 8 && decodeContext[i] >= 64 && decodeContext[i] <= 4096;
  return usual && context[i] <= 4096 ? usualWeight : 1;
}

const usualWeight = 10;

function fitMoe(
  table: ProfileTable,
  rows: readonly number[],
  errors: Record<string, FitError>,
): FittedTp['moe'] {
  const points = {
    row: Float64Array.from(rows, (i) => table.keys.activatedExperts[i]),
    column: Float64Array.from(rows, (i) => table.keys.tokens[i]),
    ns: Float64Array.from(rows, (i) => table.values.durationNs[i]),
  };
  const knots = { rows: distinct(points.row), columns: distinct(points.column) };
  return fitAndCheck(points, knots, 'moe', errors);
}

function fitAndCheck(
  points: GridPoints,
  knots: Knots,
  name: string,
  errors: Record<string, FitError>,
) {
  errors[name] = gridErrors(points, knots);
  return toFittedGrid(fitGrid(points, knots).map(Math.round), knots);
}

function subset(
  points: AttentionPoints,
  keep: (chunk: number, decodes: number) => boolean,
): AttentionPoints {
  const wanted = (_: number, i: number): boolean => keep(points.chunk[i], points.decodes[i]);
  return {
    chunk: points.chunk.filter(wanted),
    context: points.context.filter(wanted),
    decodes: points.decodes.filter(wanted),
    decodeContext: points.decodeContext.filter(wanted),
    timeNs: points.timeNs.filter(wanted),
  };
}

function distinct(column: Float64Array): Float64Array {
  return Float64Array.from(new Set(column)).sort();
}

function knotsOf(column: Float64Array, count: number): Float64Array {
  return spreadKnots(distinct(column), count, shortContext);
}
