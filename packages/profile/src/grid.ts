/**
 * A regular grid of 2 or 4 axes with multilinear lookup. Built from ragged points on the union of
 * their keys, with the holes filled in (`fillGrid`). Below an axis' first key the first counts; above
 * its last, the slope from the middle of the range to its end continues, or the last value holds. Of
 * several points with one key the mean counts.
 */
import { assert, upperBound } from '@astrolabe/base';
import { fillGrid } from './grid-fill.js';
import { lookupState } from './operator-line.js';

/** What a grid's values follow roughly, over (chunk, context, decodes, decode context). */
export interface GridShape {
  at(x: number, y: number, z: number, w: number): number;
}

/**
 * Between chunk lengths that are no further apart than a tile of queries (FlashAttention's 128) times
 * are straight: they follow how full the tile is, not the shape. Left-out lengths of one chunk, timed
 * every 32 tokens, are then found within 3.5 instead of 3.7 % (A6000), others as before or a little
 * better.
 */
const queryTile = 128;

/**
 * Beyond an axis' last key: `rises` goes on with the slope of the upper half, or holds where times fall
 * there (more work never takes less time); `holds` keeps the last value; `continues` takes any slope.
 */
export type BeyondLast = 'rises' | 'holds' | 'continues';

export class Grid {
  readonly axes: readonly Float64Array[];
  /** Row-major, last axis fastest. */
  readonly values: Float64Array;
  /** Of each place one of `lookupState`: measured, filled in between, or beyond what was measured. */
  readonly origins: Uint8Array;
  /** Of the last lookup: one of `lookupState`. */
  state = 0;
  private readonly strides: readonly number[];
  private readonly beyondLast: BeyondLast;
  // The bracket of each axis, per lookup: offsets of both corners and the upper one's weight.
  private readonly low = [0, 0, 0, 0];
  private readonly high = [0, 0, 0, 0];
  private readonly weight = new Float64Array(4);
  private readonly hints = [0, 0, 0, 0];

  constructor(
    axes: readonly Float64Array[],
    values: Float64Array,
    origins: Uint8Array,
    beyondLast: BeyondLast = 'rises',
  ) {
    assert(axes.length === 2 || axes.length === 4, 'a grid has 2 or 4 axes');
    this.axes = axes;
    this.values = values;
    this.origins = origins;
    this.beyondLast = beyondLast;
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
      shape === undefined ? 'rises' : 'holds',
    );
    const places = new Int32Array(times.length);
    for (let axis = 0; axis < rank; axis++) {
      const stride = grid.strides[axis];
      const column = keys[axis];
      for (let i = 0; i < column.length; i++) {
        places[i] += (upperBound(axes[axis], column[i]) - 1) * stride;
      }
    }
    putMeans(grid.values, places, times);
    // Without a shape every ratio is to 1.
    const shapes = new Float64Array(size).fill(1);
    if (shape !== undefined) {
      grid.forEachPlace((at, [x, y, z = 0, w = 0]) => {
        shapes[at] = shape.at(x, y, z, w);
      });
    }
    const { strides, values, origins } = grid;
    fillGrid({ axes, strides, values, origins, shapes, holds: shape !== undefined });
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
    return this.mix(a, b, weight[0]);
  }

  /**
   * As `at2`, but over wide gaps of the first axis and beyond the end of both it is the ratio to a
   * shape that is interpolated and holds. Values are those of the shape's unit.
   */
  at2Shaped(shape: GridShape, x: number, y: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    const { low, high, weight } = this;
    const inside = this.inside(1, y);
    const below = this.edge(low[0] + low[1], low[0] + high[1], weight[1]);
    const belowShape = shape.at(this.keyAt(0, low[0]), inside, 0, 0);
    if (weight[0] === 0) return (below / belowShape) * shape.at(x, y, 0, 0);
    const above = this.edge(high[0] + low[1], high[0] + high[1], weight[1]);
    const aboveShape = shape.at(this.keyAt(0, high[0]), inside, 0, 0);
    const ratio = this.isWithinTile()
      ? (below + weight[0] * (above - below)) / shape.at(x, inside, 0, 0)
      : below / belowShape + weight[0] * (above / aboveShape - below / belowShape);
    return ratio * shape.at(x, y, 0, 0);
  }

  /** As `at4`, with the first axis as that of `at2Shaped`, the third over the shape everywhere. */
  at4Shaped(shape: GridShape, x: number, y: number, z: number, w: number): number {
    this.state = lookupState.exact;
    this.bracket(0, x);
    this.bracket(1, y);
    this.bracket(2, z);
    this.bracket(3, w);
    const { low, high, weight } = this;
    const insideY = this.inside(1, y);
    const insideW = this.inside(3, w);
    let ratio = this.ratioOver2(shape, low[0], insideY, insideW);
    if (weight[0] !== 0) {
      let above = this.ratioOver2(shape, high[0], insideY, insideW);
      let here = 1;
      if (this.isWithinTile()) {
        here = shape.at(x, insideY, z, insideW);
        ratio *= shape.at(this.keyAt(0, low[0]), insideY, z, insideW);
        above *= shape.at(this.keyAt(0, high[0]), insideY, z, insideW);
      }
      ratio = (ratio + weight[0] * (above - ratio)) / here;
    }
    return ratio * shape.at(x, y, z, w);
  }

  /** The ratio to the shape at a given key of axis 0, between those at the keys of axis 2. */
  private ratioOver2(shape: GridShape, base0: number, y: number, w: number): number {
    const { low, high, weight } = this;
    const below = this.ratioAt(shape, base0, y, low[2], w);
    if (weight[2] === 0) return below;
    return below + weight[2] * (this.ratioAt(shape, base0, y, high[2], w) - below);
  }

  private isWithinTile(): boolean {
    return this.keyAt(0, this.high[0]) - this.keyAt(0, this.low[0]) <= queryTile;
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
    return this.mix(a, this.plane(this.high[0]), this.weight[0]);
  }

  /** Corners of axes 1, 2, 3 at a fixed place on axis 0. */
  private plane(base: number): number {
    const a = this.line(base + this.low[1]);
    if (this.weight[1] === 0) return a;
    return this.mix(a, this.line(base + this.high[1]), this.weight[1]);
  }

  private line(base: number): number {
    const { low, high, weight } = this;
    const a = this.edge(base + low[2] + low[3], base + low[2] + high[3], weight[3]);
    if (weight[2] === 0) return a;
    const b = this.edge(base + high[2] + low[3], base + high[2] + high[3], weight[3]);
    return this.mix(a, b, weight[2]);
  }

  private edge(low: number, high: number, weight: number): number {
    if (weight !== 1) this.raise(this.origins[low]);
    const a = this.values[low];
    if (weight === 0) return a;
    this.raise(this.origins[high]);
    return this.mix(a, this.values[high], weight);
  }

  /** From `low` to `high` and, by a weight above 1, beyond it. */
  private mix(low: number, high: number, weight: number): number {
    if (weight > 1 && high < low && this.beyondLast === 'rises') return high;
    return low + weight * (high - low);
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
      const stays = this.beyondLast === 'holds' || x === keys[last];
      const middle = stays ? last : this.middle(axis);
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

/** The mean of the times at each place. */
function putMeans(values: Float64Array, places: Int32Array, times: Float64Array): void {
  const repeats = new Map<number, number>();
  for (let i = 0; i < times.length; i++) {
    const at = places[i];
    if (Number.isNaN(values[at])) {
      values[at] = times[i];
      continue;
    }
    const count = (repeats.get(at) ?? 1) + 1;
    repeats.set(at, count);
    values[at] += (times[i] - values[at]) / count;
  }
}
