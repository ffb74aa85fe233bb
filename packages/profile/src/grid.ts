/**
 * A regular grid of 2 or 4 axes with multilinear lookup. Built from ragged points on the union of
 * their keys: a hole is interpolated along all axes with measured neighbours, mostly along the one
 * whose are nearest to it (as a ratio of keys), so that a row measured coarsely or only in part is
 * completed from its neighbours rather than stretched; what has no neighbours on both sides continues
 * the range. Below an axis' first key the first counts; above its last, the slope from the middle of
 * the range to its end continues, or the last value holds.
 */
import { assert, upperBound, upperSlope } from '@astrolabe/base';
import { lookupState } from './operator-line.js';

/** What a grid's values follow roughly, over (chunk, context, decodes, decode context). */
export interface GridShape {
  at(x: number, y: number, z: number, w: number): number;
}

/**
 * Times are straight over contexts and curved over chunk length and decode count: a gap there counts
 * as so many times as wide. Left-out contexts of one chunk are then found within 1.4 instead of 2.5 %
 * (RTX PRO 6000), chunk lengths within 4.1 instead of 4.5 %.
 */
const doubtOfShapes = 3;

/** Gaps narrower than this (logarithm of the ratio of keys) are straight on every axis. */
const straightGap = 1;

export class Grid {
  readonly axes: readonly Float64Array[];
  /** Row-major, last axis fastest. */
  readonly values: Float64Array;
  /** 1 where a point was measured, 0 where it was filled in. */
  readonly measured: Uint8Array;
  /** Of the last lookup: one of `lookupState`. */
  state = 0;
  private readonly strides: readonly number[];
  private readonly holds: boolean;
  // The bracket of each axis, per lookup: offsets of both corners and the upper one's weight.
  private readonly low = [0, 0, 0, 0];
  private readonly high = [0, 0, 0, 0];
  private readonly weight = new Float64Array(4);
  private readonly hints = [0, 0, 0, 0];

  /** @param holds keep the last value beyond an axis' end instead of continuing the slope */
  constructor(
    axes: readonly Float64Array[],
    values: Float64Array,
    measured: Uint8Array,
    holds = false,
  ) {
    assert(axes.length === 2 || axes.length === 4, 'a grid has 2 or 4 axes');
    this.axes = axes;
    this.values = values;
    this.measured = measured;
    this.holds = holds;
    const strides = new Array<number>(axes.length).fill(1);
    for (let i = axes.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * axes[i + 1].length;
    this.strides = strides;
    assert(values.length === strides[0] * axes[0].length, 'grid values do not fill its axes');
  }

  /**
   * @param keys one column per axis
   * @param shape what the values follow: along the first and third axis, and beyond what was
   *   measured, holes are filled by the ratio to it
   * @returns undefined without points
   */
  static fromPoints(
    keys: readonly Float64Array[],
    times: Float64Array,
    shape?: GridShape,
  ): Grid | undefined {
    if (times.length === 0) return undefined;
    const rank = keys.length;
    const axes = keys.map(sortedUnique);
    const size = axes.reduce((product, axis) => product * axis.length, 1);
    const grid = new Grid(
      axes,
      new Float64Array(size).fill(Number.NaN),
      new Uint8Array(size),
      shape !== undefined,
    );
    const places = new Int32Array(times.length);
    for (let axis = 0; axis < rank; axis++) {
      const stride = grid.strides[axis];
      const column = keys[axis];
      for (let i = 0; i < column.length; i++) {
        places[i] += (upperBound(axes[axis], column[i]) - 1) * stride;
      }
    }
    for (let i = 0; i < times.length; i++) {
      grid.values[places[i]] = times[i];
      grid.measured[places[i]] = 1;
    }
    // Without a shape every ratio is to 1.
    const shapes = new Float64Array(size).fill(1);
    if (shape !== undefined) {
      grid.forEachPlace((at, [x, y, z = 0, w = 0]) => {
        shapes[at] = shape.at(x, y, z, w);
      });
    }
    grid.fillHoles(shapes);
    // Outside what was measured, innermost first: decodes' contexts, chunk's, count, chunk length.
    for (const axis of rank === 4 ? [3, 1, 2, 0] : [1, 0]) grid.fill(axis, shapes);
    return grid;
  }

  /** Every place with its keys; the list is reused. */
  forEachPlace(visit: (at: number, keys: readonly number[]) => void): void {
    const keys = this.axes.map((axis) => axis[0]);
    for (let at = 0; at < this.values.length; at++) {
      for (let axis = 0; axis < keys.length; axis++) {
        const place = Math.floor(at / this.strides[axis]) % this.axes[axis].length;
        keys[axis] = this.axes[axis][place];
      }
      visit(at, keys);
    }
  }

  at2(x: number, y: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    const { low, high, weight } = this;
    const a = this.edge(low[0] + low[1], low[0] + high[1], weight[1]);
    if (weight[0] === 0) return a;
    const b = this.edge(high[0] + low[1], high[0] + high[1], weight[1]);
    return a + weight[0] * (b - a);
  }

  /**
   * As `at2`, but along the first axis and beyond the end of the second it is the ratio to a shape
   * that is interpolated and holds. Values are those of the shape's unit.
   */
  at2Shaped(shape: GridShape, x: number, y: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    const { low, high, weight } = this;
    const inside = this.inside(1, y);
    let ratio = this.edge(low[0] + low[1], low[0] + high[1], weight[1]);
    ratio /= shape.at(this.keyAt(0, low[0]), inside, 0, 0);
    if (weight[0] !== 0) {
      const upper = this.edge(high[0] + low[1], high[0] + high[1], weight[1]);
      ratio += weight[0] * (upper / shape.at(this.keyAt(0, high[0]), inside, 0, 0) - ratio);
    }
    return ratio * shape.at(x, y, 0, 0);
  }

  /** As `at4`, with the first and third axes as the first of `at2Shaped`. */
  at4Shaped(shape: GridShape, x: number, y: number, z: number, w: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    this.bracket(2, z);
    this.bracket(3, w);
    const { low, high, weight } = this;
    const insideY = this.inside(1, y);
    const insideW = this.inside(3, w);
    let ratio = this.ratioAt(shape, low[0], insideY, low[2], insideW);
    if (weight[2] !== 0) {
      ratio += weight[2] * (this.ratioAt(shape, low[0], insideY, high[2], insideW) - ratio);
    }
    if (weight[0] !== 0) {
      let upper = this.ratioAt(shape, high[0], insideY, low[2], insideW);
      if (weight[2] !== 0) {
        upper += weight[2] * (this.ratioAt(shape, high[0], insideY, high[2], insideW) - upper);
      }
      ratio += weight[0] * (upper - ratio);
    }
    return ratio * shape.at(x, y, z, w);
  }

  /** Linear over axes 1 and 3 at given keys of 0 and 2, over the shape there. */
  private ratioAt(shape: GridShape, base0: number, y: number, base2: number, w: number): number {
    const { low, high, weight } = this;
    const base = base0 + base2;
    let value = this.edge(base + low[1] + low[3], base + low[1] + high[3], weight[3]);
    if (weight[1] !== 0) {
      const upper = this.edge(base + high[1] + low[3], base + high[1] + high[3], weight[3]);
      value += weight[1] * (upper - value);
    }
    return value / shape.at(this.keyAt(0, base0), y, this.keyAt(2, base2), w);
  }

  private keyAt(axis: number, offset: number): number {
    return this.axes[axis][offset / this.strides[axis]];
  }

  /** The key within the axis' range. */
  private inside(axis: number, key: number): number {
    const keys = this.axes[axis];
    return Math.min(Math.max(key, keys[0]), keys[keys.length - 1]);
  }

  at4(x: number, y: number, z: number, w: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    this.bracket(2, z);
    this.bracket(3, w);
    const a = this.plane(this.low[0]);
    if (this.weight[0] === 0) return a;
    return a + this.weight[0] * (this.plane(this.high[0]) - a);
  }

  /** Corners of axes 1, 2, 3 at a fixed place on axis 0. */
  private plane(base: number): number {
    const a = this.line(base + this.low[1]);
    if (this.weight[1] === 0) return a;
    return a + this.weight[1] * (this.line(base + this.high[1]) - a);
  }

  private line(base: number): number {
    const { low, high, weight } = this;
    const a = this.edge(base + low[2] + low[3], base + low[2] + high[3], weight[3]);
    if (weight[2] === 0) return a;
    const b = this.edge(base + high[2] + low[3], base + high[2] + high[3], weight[3]);
    return a + weight[2] * (b - a);
  }

  private edge(low: number, high: number, weight: number): number {
    if (this.measured[low] === 0 && weight !== 1) this.raise(lookupState.interpolated);
    const a = this.values[low];
    return weight === 0 ? a : a + weight * (this.values[high] - a);
  }

  private raise(state: number): void {
    if (state > this.state) this.state = state;
  }

  private bracket(axis: number, x: number): void {
    const keys = this.axes[axis];
    const stride = this.strides[axis];
    const last = keys.length - 1;
    if (x <= keys[0]) {
      this.low[axis] = 0;
      this.high[axis] = 0;
      this.weight[axis] = 0;
      if (x < keys[0]) this.state = lookupState.extrapolated;
      return;
    }
    if (x >= keys[last]) {
      // Continue with the slope from the middle of the range to its end.
      const middle = this.holds || x === keys[last] ? last : this.middle(axis);
      this.low[axis] = middle * stride;
      this.high[axis] = last * stride;
      this.weight[axis] = middle === last ? 0 : (x - keys[middle]) / (keys[last] - keys[middle]);
      if (x > keys[last]) this.state = lookupState.extrapolated;
      else if (middle === last) this.low[axis] = last * stride;
      return;
    }
    let index = this.hints[axis];
    if (!(keys[index] <= x && x < keys[index + 1])) {
      index = upperBound(keys, x) - 1;
      this.hints[axis] = index;
    }
    this.low[axis] = index * stride;
    this.high[axis] = (index + 1) * stride;
    this.weight[axis] = (x - keys[index]) / (keys[index + 1] - keys[index]);
    if (this.weight[axis] !== 0) this.raise(lookupState.interpolated);
  }

  private middle(axis: number): number {
    const keys = this.axes[axis];
    const last = keys.length - 1;
    return Math.max(0, Math.min(last - 1, upperBound(keys, keys[last] / 2) - 1));
  }

  /** Fills what lies between measured points; twice, so that holes beside holes are reached. */
  private fillHoles(shapes: Float64Array): void {
    // A step on an axis counts by the ratio of its keys; the offset makes 0 and the first key near.
    const logs = this.axes.map((keys) => {
      const offset = keys[0] > 0 ? keys[0] : (keys[1] ?? 1);
      return keys.map((key) => Math.log(key + offset));
    });
    for (let pass = 0; pass < 2; pass++) {
      const known = this.values.slice();
      for (let at = 0; at < known.length; at++) {
        if (Number.isNaN(known[at])) this.values[at] = this.between(known, at, logs, shapes);
      }
    }
  }

  /**
   * Interpolates at a hole along every axis that has a bracket, the narrower the bracket the more it
   * counts; NaN without any.
   */
  private between(
    known: Float64Array,
    at: number,
    logs: readonly Float64Array[],
    shapes: Float64Array,
  ): number {
    let sum = 0;
    let total = 0;
    for (let axis = 0; axis < this.axes.length; axis++) {
      const stride = this.strides[axis];
      const keys = this.axes[axis];
      const place = Math.floor(at / stride) % keys.length;
      let below = place - 1;
      while (below >= 0 && Number.isNaN(known[at + (below - place) * stride])) below--;
      if (below < 0) continue;
      let above = place + 1;
      while (above < keys.length && Number.isNaN(known[at + (above - place) * stride])) above++;
      if (above === keys.length) continue;
      const low = at + (below - place) * stride;
      const high = at + (above - place) * stride;
      const weight = (keys[place] - keys[below]) / (keys[above] - keys[below]);
      const width = logs[axis][above] - logs[axis][below];
      const isLine = axis % 2 === 1;
      // Straight over contexts; over wide gaps of the others it is the ratio to the shape.
      const [a, b, here] =
        isLine || width < straightGap ? [1, 1, 1] : [shapes[low], shapes[high], shapes[at]];
      const ratio = known[low] / a;
      const value = (ratio + weight * (known[high] / b - ratio)) * here;
      const gap = width * (isLine ? 1 : doubtOfShapes);
      const trust = gap ** -4;
      sum += trust * value;
      total += trust;
    }
    return total === 0 ? Number.NaN : sum / total;
  }

  /** Fills NaN along one axis from the finite values on each line of that axis, where there are any. */
  private fill(axis: number, shapes: Float64Array): void {
    const keys = this.axes[axis];
    const stride = this.strides[axis];
    const known = new Float64Array(keys.length);
    const times = new Float64Array(keys.length);
    const block = stride * keys.length;
    for (let line = 0; line < this.values.length / keys.length; line++) {
      const start = Math.floor(line / stride) * block + (line % stride);
      let count = 0;
      for (let i = 0; i < keys.length; i++) {
        const value = this.values[start + i * stride];
        if (Number.isNaN(value)) continue;
        known[count] = keys[i];
        times[count++] = value / shapes[start + i * stride];
      }
      if (count === 0 || count === keys.length) continue;
      const knownKeys = known.subarray(0, count);
      const knownTimes = times.subarray(0, count);
      for (let i = 0; i < keys.length; i++) {
        const at = start + i * stride;
        if (!Number.isNaN(this.values[at])) continue;
        this.values[at] = continued(knownKeys, knownTimes, keys[i], this.holds) * shapes[at];
      }
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

function sortedUnique(column: Float64Array): Float64Array {
  const keys = new Set<number>();
  let previous = Number.NaN;
  for (let i = 0; i < column.length; i++) {
    if (column[i] === previous) continue;
    previous = column[i];
    keys.add(previous);
  }
  return Float64Array.from(keys).sort();
}
