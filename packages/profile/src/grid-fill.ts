/**
 * Completes a ragged grid: a hole between measured points is interpolated along all axes on which it
 * has neighbours, mostly along the one whose are nearest to it (as a ratio of keys), so that a row
 * measured coarsely or only in part is completed from its neighbours rather than stretched; what has
 * no neighbours on both sides continues the range.
 */
import { upperBound, upperSlope } from '@astrolabe/base';
import { lookupState } from './operator-line.js';

/** A grid in the making; `values` are NaN where nothing was measured. */
interface RaggedGrid {
  readonly axes: readonly Float64Array[];
  /** Places between neighbours on each axis. */
  readonly strides: readonly number[];
  readonly values: Float64Array;
  /** Of each place one of `lookupState`: measured, filled in between, or beyond what was measured. */
  readonly origins: Uint8Array;
  /** What the values follow roughly, at every place. */
  readonly shapes: Float64Array;
  /** Beyond the ends the last value holds (as a ratio to the shape) instead of its slope. */
  readonly holds: boolean;
}

/**
 * Times are straight over contexts and curved over chunk length and decode count: a gap there counts
 * as so many times as wide. Left-out contexts of one chunk are then found within 1.4 instead of 2.5 %
 * (RTX PRO 6000), chunk lengths within 4.1 instead of 4.5 %.
 */
const doubtOfShapes = 3;

/** Gaps narrower than this (logarithm of the ratio of keys) are filled straight on every axis. */
const straightGap = 1;

/**
 * A row of contexts is as straight a little beyond its end: up to this multiple of its last one the
 * slope that it ends with competes with what chunks of other lengths say. Left-out contexts of rows
 * with two or three are then found within 0.3 instead of 0.9 % (A6000).
 */
const straightBeyond = 2.2;

/** Fills every place. Axes alternate between a shaped one (chunk, decodes) and contexts. */
export function fillGrid(grid: RaggedGrid): void {
  fillHoles(grid);
  // Outside what was measured, innermost first: decodes' contexts, chunk's, count, chunk length.
  for (const axis of grid.axes.length === 4 ? [3, 1, 2, 0] : [1, 0]) fillBeyond(grid, axis);
}

/** Fills what lies between measured points; twice, so that holes beside holes are reached. */
function fillHoles(grid: RaggedGrid): void {
  const { values } = grid;
  // A step on an axis counts by the ratio of its keys; the offset makes 0 and the first key near.
  const logs = grid.axes.map((keys) => {
    const offset = keys[0] > 0 ? keys[0] : (keys[1] ?? 1);
    return keys.map((key) => Math.log(key + offset));
  });
  for (let pass = 0; pass < 2; pass++) {
    const known = values.slice();
    for (let at = 0; at < known.length; at++) {
      if (Number.isNaN(known[at])) values[at] = between(grid, known, at, logs);
    }
  }
}

/**
 * Interpolates at a hole along every axis that has a bracket, the narrower the bracket the more it
 * counts; NaN without any.
 */
function between(
  grid: RaggedGrid,
  known: Float64Array,
  at: number,
  logs: readonly Float64Array[],
): number {
  const { shapes } = grid;
  let sum = 0;
  let total = 0;
  let origin: number = lookupState.extrapolated;
  for (let axis = 0; axis < grid.axes.length; axis++) {
    const stride = grid.strides[axis];
    const keys = grid.axes[axis];
    const isLine = axis % 2 === 1;
    const place = Math.floor(at / stride) % keys.length;
    let below = place - 1;
    while (below >= 0 && Number.isNaN(known[at + (below - place) * stride])) below--;
    if (below < 0) continue;
    let above = place + 1;
    while (above < keys.length && Number.isNaN(known[at + (above - place) * stride])) above++;
    const isInside = above < keys.length;
    if (!isInside) {
      // The line through the last two, but not through what was continued itself.
      if (!isLine || keys[place] > straightBeyond * keys[below]) continue;
      if (grid.origins[at + (below - place) * stride] === lookupState.extrapolated) continue;
      above = below--;
      while (below >= 0 && Number.isNaN(known[at + (below - place) * stride])) below--;
      if (below < 0) continue;
    }
    const low = at + (below - place) * stride;
    const high = at + (above - place) * stride;
    const weight = (keys[place] - keys[below]) / (keys[above] - keys[below]);
    const width = isInside
      ? logs[axis][above] - logs[axis][below]
      : logs[axis][place] - logs[axis][above];
    // Straight over contexts; over wide gaps of the others it is the ratio to the shape.
    const [a, b, here] =
      isLine || width < straightGap ? [1, 1, 1] : [shapes[low], shapes[high], shapes[at]];
    const ratio = known[low] / a;
    const straight = (ratio + weight * (known[high] / b - ratio)) * here;
    // Beyond the end a line that falls holds: more context never takes less time.
    const value = isInside ? straight : Math.max(straight, known[high]);
    const gap = width * (isLine ? 1 : doubtOfShapes);
    const trust = gap ** -4;
    sum += trust * value;
    total += trust;
    if (isInside) origin = lookupState.interpolated;
  }
  if (total === 0) return Number.NaN;
  grid.origins[at] = origin;
  return sum / total;
}

/** Fills NaN along one axis from the finite values on each line of that axis, where there are any. */
function fillBeyond(grid: RaggedGrid, axis: number): void {
  const { values, shapes, origins } = grid;
  const keys = grid.axes[axis];
  const stride = grid.strides[axis];
  const known = new Float64Array(keys.length);
  const times = new Float64Array(keys.length);
  const block = stride * keys.length;
  for (let line = 0; line < values.length / keys.length; line++) {
    const start = Math.floor(line / stride) * block + (line % stride);
    let count = 0;
    for (let i = 0; i < keys.length; i++) {
      const value = values[start + i * stride];
      if (Number.isNaN(value)) continue;
      known[count] = keys[i];
      times[count++] = value / shapes[start + i * stride];
    }
    if (count === 0 || count === keys.length) continue;
    const knownKeys = known.subarray(0, count);
    const knownTimes = times.subarray(0, count);
    for (let i = 0; i < keys.length; i++) {
      const at = start + i * stride;
      if (!Number.isNaN(values[at])) continue;
      values[at] = continued(knownKeys, knownTimes, keys[i], grid.holds) * shapes[at];
      origins[at] = lookupState.extrapolated;
    }
  }
}

/** Linear between points; before the first constant; after the last with the upper slope, or none. */
function continued(keys: Float64Array, times: Float64Array, x: number, holds: boolean): number {
  const above = upperBound(keys, x);
  if (above === 0) return times[0];
  const below = above - 1;
  if (above === keys.length) {
    const slope = holds ? 0 : upperSlope(keys, times);
    return times[below] + slope * (x - keys[below]);
  }
  const weight = (x - keys[below]) / (keys[above] - keys[below]);
  return times[below] + weight * (times[above] - times[below]);
}
