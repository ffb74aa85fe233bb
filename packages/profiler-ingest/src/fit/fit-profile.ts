/**
 * Fits a compact latency model to a measured profile: per TP degree piecewise-linear operators, small
 * grids for attention and MoE, a low-rank product for mixed batches, and the error of all of it on
 * points left out of the fit.
 */
import { UserError } from '@astrolabe/base';
import {
  type AttentionPoints,
  type FitError,
  type FittedLine,
  type FittedProfile,
  type FittedTp,
  fittedFormat,
  measureTail,
  type ProfileTable,
  record,
  rowKinds,
  skewShots,
  tpDegreesOf,
} from '@astrolabe/profile';
import {
  type AttentionFitOptions,
  attentionErrors,
  distinct,
  fitAttention,
  requireGrids,
} from './fit-attention.js';
import { gridErrors, lineErrors } from './fit-errors.js';
import { fitGrid, toFittedGrid } from './fit-grid.js';
import { fitLine, type LinePoint, linePoints } from './fit-line.js';

interface FitOptions extends AttentionFitOptions {
  /** Root mean square error of a line, relative to its operator's weight in the block. */
  readonly tolerance: number;
  readonly maxLineKnots: number;
}

export const defaultFit: FitOptions = {
  tolerance: 0.005,
  maxLineKnots: 24,
  chunkKnots: 8,
  contextKnots: 7,
  decodeContextKnots: 9,
  mixedRank: 3,
};

/** @throws UserError a time of 0, as errors are relative; attention that forms no grid */
export function fitProfile(table: ProfileTable, options: FitOptions = defaultFit): FittedProfile {
  const zero = table.values.durationNs.findIndex((ns) => !(ns > 0));
  if (zero >= 0) {
    throw new UserError(`a time of ${table.values.durationNs[zero]} ns, expected more than 0`, {
      at: `row ${zero + 1} of the profile, ${table.operators[table.operator[zero]]}`,
    });
  }
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
    const points = attentionPoints(table, rows.attention);
    requireGrids(points);
    fitted.attention = fitAttention(points, options);
    Object.assign(errors, attentionErrors(points, options));
  }
  if (rows.moe.length > 0) fitted.moe = fitMoe(table, rows.moe, errors);
  if (rows.skew.length > 0) {
    fitted.tail = measureTail(skewShots(table, tp)).map((points) => ({
      ...points,
      longest: [...points.longest],
      share: points.share.map((share) => Math.round(share * 1e3) / 1e3),
    }));
  }
  return fitted;
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
  errors.moe = gridErrors(points, knots);
  return toFittedGrid(fitGrid(points, knots).map(Math.round), knots);
}
