/**
 * Bilinear grids with given knots, fitted to scattered points by least squares on relative errors.
 * Knots without data nearby continue their neighbours.
 */
import { upperBound } from '@astrolabe/base';
import type { FittedGrid } from '@astrolabe/profile';
import { LeastSquares } from './least-squares.js';

export interface Knots {
  readonly rows: Float64Array;
  readonly columns: Float64Array;
}

/** Scattered measurements of a time over two keys. */
export interface GridPoints {
  readonly row: Float64Array;
  readonly column: Float64Array;
  readonly ns: Float64Array;
}

/** The four knots around a point and their weights: what a bilinear lookup reads. */
export class Corners {
  readonly index = new Int32Array(4);
  readonly weight = new Float64Array(4);

  locate(knots: Knots, row: number, column: number): void {
    const { rows, columns } = knots;
    const i = segment(rows, row);
    const j = segment(columns, column);
    const u = rows.length === 1 ? 0 : (row - rows[i]) / (rows[i + 1] - rows[i]);
    const v = columns.length === 1 ? 0 : (column - columns[j]) / (columns[j + 1] - columns[j]);
    const width = columns.length;
    const down = rows.length === 1 ? 0 : width;
    const right = columns.length === 1 ? 0 : 1;
    const at = i * width + j;
    this.index[0] = at;
    this.index[1] = at + right;
    this.index[2] = at + down;
    this.index[3] = at + down + right;
    this.weight[0] = (1 - u) * (1 - v);
    this.weight[1] = (1 - u) * v;
    this.weight[2] = u * (1 - v);
    this.weight[3] = u * v;
  }
}

function segment(keys: Float64Array, x: number): number {
  return Math.max(0, Math.min(keys.length - 2, upperBound(keys, x) - 1));
}

/** @param leftOut points (by index) to leave out. @returns values at the knots, row-major */
export function fitGrid(
  points: GridPoints,
  knots: Knots,
  leftOut?: (index: number) => boolean,
): Float64Array {
  const size = knots.rows.length * knots.columns.length;
  const system = new LeastSquares(size);
  const corners = new Corners();
  const nearest = new Float64Array(size).fill(Number.NaN);
  const nearness = new Float64Array(size);
  for (let p = 0; p < points.ns.length; p++) {
    if (leftOut?.(p)) continue;
    corners.locate(knots, points.row[p], points.column[p]);
    const ns = points.ns[p];
    system.add(corners.index, corners.weight, 4, ns, 1 / (ns * ns));
    for (let i = 0; i < 4; i++) {
      if (corners.weight[i] > nearness[corners.index[i]]) {
        nearness[corners.index[i]] = corners.weight[i];
        nearest[corners.index[i]] = ns;
      }
    }
  }
  const known = fillGaps(nearest, knots);
  smooth(system, known, 1, knots.columns);
  smooth(system, known, knots.columns.length, knots.rows);
  system.ridge(known, 1e-7);
  return system.solve();
}

/**
 * Asks each inner knot, with little weight, to lie between its neighbours on an axis: decides only
 * where the points do not.
 */
function smooth(
  system: LeastSquares,
  known: Float64Array,
  stride: number,
  axis: Float64Array,
): void {
  const index = new Int32Array(3);
  const share = new Float64Array(3);
  for (let at = 0; at < known.length; at++) {
    const i = Math.floor(at / stride) % axis.length;
    if (i === 0 || i === axis.length - 1) continue;
    const weight = (axis[i] - axis[i - 1]) / (axis[i + 1] - axis[i - 1]);
    index[0] = at - stride;
    index[1] = at;
    index[2] = at + stride;
    share[0] = 1 - weight;
    share[1] = -1;
    share[2] = weight;
    const scale = Math.max(known[at], 1);
    system.add(index, share, 3, 0, smoothness / (scale * scale));
  }
}

/** Weight of smoothness against a measured point's relative error. */
const smoothness = 1e-4;

/** A size for every knot: without a point nearby that of the knot to its left, else above. */
function fillGaps(values: Float64Array, knots: Knots): Float64Array {
  const width = knots.columns.length;
  const filled = Float64Array.from(values);
  for (let at = 0; at < filled.length; at++) {
    if (!Number.isNaN(filled[at])) continue;
    if (at % width > 0 && !Number.isNaN(filled[at - 1])) filled[at] = filled[at - 1];
    else if (at >= width) filled[at] = filled[at - width];
  }
  for (let at = filled.length - 1; at >= 0; at--) {
    if (Number.isNaN(filled[at])) filled[at] = at + 1 < filled.length ? filled[at + 1] : 0;
  }
  return filled;
}

export function toFittedGrid(values: Float64Array, knots: Knots): FittedGrid {
  const width = knots.columns.length;
  return {
    rows: Array.from(knots.rows),
    columns: Array.from(knots.columns),
    ns: Array.from(knots.rows, (_, i) => Array.from(values.subarray(i * width, (i + 1) * width))),
  };
}

/**
 * About `count` of the measured keys, first and last among them, evenly spread in log(key + offset).
 */
export function spreadKnots(keys: Float64Array, count: number, offset: number): Float64Array {
  if (keys.length <= count) return keys;
  const low = Math.log(keys[0] + offset);
  const high = Math.log(keys[keys.length - 1] + offset);
  const chosen = new Set<number>();
  for (let i = 0; i < count; i++) {
    const target = low + ((high - low) * i) / (count - 1);
    let best = keys[0];
    for (const key of keys) {
      const distance = Math.abs(Math.log(key + offset) - target);
      if (distance < Math.abs(Math.log(best + offset) - target)) best = key;
    }
    chosen.add(best);
  }
  return Float64Array.from(chosen).sort();
}
