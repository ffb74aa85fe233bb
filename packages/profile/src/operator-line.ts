/**
 * Time of an operator over one integer key (tokens or sequences): linear between measured points,
 * the smallest point below them, and beyond the largest the slope of the upper half of the range
 * (two neighbouring points differ by noise; the upper half shows the trend). Every integer within
 * the range is worked out once, so a lookup is one array read.
 */
import { assert, interpolate, mergePoints, upperBound, upperSlope } from '@astrolabe/base';

export const lookupState = { exact: 0, interpolated: 1, extrapolated: 2 } as const;

/** Keys above this are interpolated on demand rather than tabulated. */
const maxTabulated = 1 << 16;

export class OperatorLine {
  /** Measured keys, ascending, and their times in ns. */
  readonly keys: Float64Array;
  readonly timesNs: Float64Array;
  private readonly table: Float64Array;
  private readonly states: Uint8Array;
  private readonly last: number;
  private readonly slope: number;

  /** @param points (key, ns) in any order; of several with one key the mean counts. */
  constructor(points: readonly (readonly [number, number])[]) {
    assert(points.length > 0, 'an operator line needs a point');
    const merged = mergePoints(points);
    this.keys = Float64Array.from(merged, (point) => point[0]);
    this.timesNs = Float64Array.from(merged, (point) => point[1]);
    this.last = this.keys[this.keys.length - 1];
    this.slope = upperSlope(this.keys, this.timesNs);
    const size = Math.min(this.last, maxTabulated) + 1;
    this.table = new Float64Array(size);
    this.states = new Uint8Array(size);
    for (let key = 0; key < size; key++) this.tabulate(key);
  }

  /** Time at `key` in ns. @returns a float; callers round. */
  at(key: number): number {
    if (key < this.table.length) return this.table[key];
    if (key <= this.last) return interpolate(this.keys, this.timesNs, key);
    return this.timesNs[this.timesNs.length - 1] + this.slope * (key - this.last);
  }

  /** One of `lookupState`. */
  state(key: number): number {
    if (key < this.states.length) return this.states[key];
    return key <= this.last ? lookupState.interpolated : lookupState.extrapolated;
  }

  private tabulate(key: number): void {
    const index = upperBound(this.keys, key) - 1;
    if (index < 0) this.states[key] = lookupState.extrapolated;
    else if (this.keys[index] === key) this.states[key] = lookupState.exact;
    else this.states[key] = lookupState.interpolated;
    this.table[key] = interpolate(this.keys, this.timesNs, key);
  }
}
