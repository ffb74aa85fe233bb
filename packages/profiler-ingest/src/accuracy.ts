/**
 * How well the table is interpolated: every inner value of every axis is left out in turn, with all
 * points on it, and predicted from the rest; ours beside plain linear interpolation. For attention
 * both fill holes of ragged grids alike. Per-point leave-one-out for operators of one key. For decodes of
 * unequal context "linear" is as many of their mean, and ours adds what other counts of long ones waited.
 */
import {
  AttentionGrid,
  type AttentionPoints,
  DecodeTail,
  type FitError,
  measureTail,
  OperatorLine,
  type ProfileTable,
  rowKinds,
  type SkewShot,
  skewShots,
  tpDegreesOf,
} from '@astrolabe/profile';
import { summarise } from './fit/fit-errors.js';
import { attentionPoints } from './fit/fit-profile.js';

export interface AccuracyRow {
  readonly operator: string;
  readonly tp: number;
  readonly axis: string;
  readonly linear: FitError;
  readonly ours: FitError;
}

const axes = ['chunk', 'context', 'decodes', 'decodeContext'] as const;

export function accuracyOf(table: ProfileTable): AccuracyRow[] {
  return tpDegreesOf(table).flatMap((tp) => [
    ...lineAccuracy(table, tp),
    ...attentionAccuracy(table, tp),
    ...skewAccuracy(skewShots(table, tp), tp),
  ]);
}

function lineAccuracy(table: ProfileTable, tp: number): AccuracyRow[] {
  const series = new Map<string, [number, number][]>();
  for (let i = 0; i < table.length; i++) {
    const kind = rowKinds[table.kind[i]];
    if (table.tp[i] !== tp || (kind !== 'dense' && kind !== 'per_sequence')) continue;
    const key = kind === 'dense' ? table.keys.tokens[i] : table.keys.sequences[i];
    const name = table.operators[table.operator[i]];
    const points = series.get(name) ?? [];
    points.push([key, table.values.durationNs[i]]);
    series.set(name, points);
  }
  return [...series].map(([operator, points]) => {
    points.sort((a, b) => a[0] - b[0]);
    const errors: number[] = [];
    // Of thousands of points every few: the answer does not change.
    const step = Math.max(1, Math.floor(points.length / 300));
    for (let out = 1; out < points.length - 1; out += step) {
      const near = points.slice(Math.max(0, out - 2), out + 3);
      const rest = near.filter(([key]) => key !== points[out][0]);
      if (rest.length < 2) continue;
      errors.push(new OperatorLine(rest).at(points[out][0]) / points[out][1] - 1);
    }
    const error = summarise(errors);
    return { operator, tp, axis: 'key', linear: error, ours: error };
  });
}

function attentionAccuracy(table: ProfileTable, tp: number): AccuracyRow[] {
  const kind = rowKinds.indexOf('attention');
  const rows: number[] = [];
  for (let i = 0; i < table.length; i++) {
    if (table.tp[i] === tp && table.kind[i] === kind) rows.push(i);
  }
  if (rows.length === 0) return [];
  const points = attentionPoints(table, rows);
  const parts = [
    { name: 'decodes', of: part(points, (q, n) => q === 0 && n > 0), on: axes.slice(2) },
    { name: 'one chunk', of: part(points, (q, n) => q > 0 && n === 0), on: axes.slice(0, 2) },
    { name: 'mixed', of: part(points, (q, n) => q > 0 && n > 0), on: axes },
  ];
  return parts.flatMap(({ name, of, on }) =>
    on
      .map((axis) => leaveLevelsOut(of, axis))
      .map(({ linear, ours }, i) => ({
        operator: `attention: ${name}`,
        tp,
        axis: on[i],
        linear: summarise(linear),
        ours: summarise(ours),
      }))
      .filter((row) => row.ours.points > 0),
  );
}

function leaveLevelsOut(of: AttentionPoints, axis: (typeof axes)[number]) {
  const keys = [...new Set(of[axis])].sort((a, b) => a - b);
  const linear: number[] = [];
  const ours: number[] = [];
  // Long axes of dense sweeps: a dozen levels tell.
  const step = Math.max(1, Math.floor(keys.length / 12));
  for (let level = 1; level < keys.length - 1; level += step) {
    const rest = part(of, (_q, _n, i) => of[axis][i] !== keys[level]);
    const models = [new AttentionGrid(rest), new AttentionGrid(rest, true)];
    for (let i = 0; i < of.timeNs.length; i++) {
      if (of[axis][i] !== keys[level]) continue;
      const at = [of.chunk[i], of.context[i], of.decodes[i], of.decodeContext[i]] as const;
      const [shaped, plain] = models.map((model) => model.at(...at) / of.timeNs[i] - 1);
      if (Number.isFinite(shaped) && Number.isFinite(plain)) {
        ours.push(shaped);
        linear.push(plain);
      }
    }
  }
  return { linear, ours };
}

/** Each number of long decodes left out in turn, predicted where fewer and more were measured. */
function skewAccuracy(shots: readonly SkewShot[], tp: number): AccuracyRow[] {
  const counts = [...new Set(shots.map(({ long }) => long))];
  const parts = [
    { operator: 'unequal', linear: [] as number[], ours: [] as number[] },
    { operator: 'unequal mix', linear: [] as number[], ours: [] as number[] },
  ];
  for (const out of counts) {
    const points = measureTail(shots.filter(({ long }) => long !== out));
    const tail = new DecodeTail(points);
    const inner = new Set(
      points
        .filter(({ longest }) => longest[0] < out && longest[longest.length - 1] > out)
        .map(({ chunkTokens, decodes }) => `${chunkTokens} ${decodes}`),
    );
    for (const shot of shots) {
      const { chunkTokens, decodes, long, way, extra } = shot;
      if (long !== out || !inner.has(`${chunkTokens} ${decodes}`)) continue;
      const share = tail.share(contextsOf(shot), decodes, chunkTokens);
      const { linear, ours } = parts[chunkTokens > 0 ? 1 : 0];
      linear.push(-extra);
      ours.push(way * share - extra);
    }
  }
  return parts
    .filter(({ ours }) => ours.length > 0)
    .map(({ operator, linear, ours }) => ({
      operator: `attention: ${operator}`,
      tp,
      axis: 'longest',
      linear: summarise(linear),
      ours: summarise(ours),
    }));
}

function contextsOf({ decodes, long, leastContext, longestContext }: SkewShot): Float64Array {
  return new Float64Array(decodes).fill(longestContext, 0, long).fill(leastContext, long);
}

function part(
  points: AttentionPoints,
  wanted: (chunk: number, decodes: number, index: number) => boolean,
): AttentionPoints {
  const keep = (column: Float64Array): Float64Array =>
    column.filter((_, i) => wanted(points.chunk[i], points.decodes[i], i));
  return {
    chunk: keep(points.chunk),
    context: keep(points.context),
    decodes: keep(points.decodes),
    decodeContext: keep(points.decodeContext),
    timeNs: keep(points.timeNs),
  };
}

export function accuracyLines(rows: readonly AccuracyRow[]): string[] {
  const header = ['operator', 'axis', 'TP', 'points', 'linear |e|', 'bias', 'ours |e|', 'bias %'];
  const cells = rows.map(({ operator, axis, tp, linear, ours }) => [
    operator,
    axis,
    String(tp),
    String(ours.points),
    linear.meanAbsPercent.toFixed(2),
    linear.biasPercent.toFixed(2),
    ours.meanAbsPercent.toFixed(2),
    ours.biasPercent.toFixed(2),
  ]);
  return [header, ...cells].map((line) =>
    line.map((cell, i) => (i < 2 ? cell.padEnd(22 - 6 * i) : cell.padStart(11))).join(''),
  );
}
