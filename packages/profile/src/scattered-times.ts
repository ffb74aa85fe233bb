/**
 * Attention times measured at batches that form no grid, as steps of a real run do: each count has its
 * own contexts, and a grid over all keys is nearly empty (of n mixed batches it has up to n^4 places). A
 * lookup is the mean ratio of the measured points to the shape of attention's work, near points counting
 * most (Shepard, "A two-dimensional interpolation function for irregularly-spaced data", 1968), times the
 * shape: exact at points, never beyond the largest or least ratio, hence positive wherever times are.
 * Distance is that of the keys' logarithms. Times in ns.
 */
import type { GridShape } from './grid.js';
import { lookupState } from './operator-line.js';

/** A neighbour further than this (a factor of 4 in one key) says nothing of what is between. */
const nearSquared = Math.log(4) ** 2;
/** Added to keys before their logarithm: 0 and the first few count as near. */
const offset = 16;
/** Above this the places of a grid are no longer worth their memory. */
const mostPlaces = 1 << 22;

/**
 * Whether points fill enough of the grid over their keys to be one: one and a half on each line of the
 * longest axis and a twentieth of all places. Measured bundles have 20 % and more. A line is a grid.
 */
export function fillsGrid(keys: readonly Float64Array[]): boolean {
  const axes = keys.map(placesOf);
  const longest = axes.reduce((most, axis) => Math.max(most, axis.size), 0);
  const places = axes.reduce((product, axis) => product * axis.size, 1);
  if (places > mostPlaces) return false;
  const points = distinctPoints(keys, axes, places);
  return points === places || (points >= 1.5 * longest && points >= places / 20);
}

/** Of each key its place on the axis, in any order. */
function placesOf(column: Float64Array): Map<number, number> {
  const places = new Map<number, number>();
  for (const key of column) if (!places.has(key)) places.set(key, places.size);
  return places;
}

function distinctPoints(
  keys: readonly Float64Array[],
  axes: readonly Map<number, number>[],
  places: number,
): number {
  const isThere = new Uint8Array(places);
  let points = 0;
  for (let i = 0; i < keys[0].length; i++) {
    let at = 0;
    for (let axis = 0; axis < keys.length; axis++) {
      at = at * axes[axis].size + (axes[axis].get(keys[axis][i]) as number);
    }
    if (isThere[at] === 0) points++;
    isThere[at] = 1;
  }
  return points;
}

export class ScatteredTimes {
  /** Of the last lookup: one of `lookupState`. */
  state: number = lookupState.exact;
  private readonly shape: GridShape;
  private readonly ratios: Float64Array;
  /** Logarithms of the keys, all of a point side by side. */
  private readonly logs: Float64Array;
  private readonly rank: number;
  private readonly here = new Float64Array(4);

  /** @param keys (chunk, context, decodes, decode context), 0 for what a batch has not; not empty */
  constructor(keys: readonly Float64Array[], timesNs: Float64Array, shape: GridShape) {
    this.shape = shape;
    this.rank = keys.length;
    const [q, c, n, k] = keys;
    this.ratios = timesNs.map((timeNs, i) => timeNs / shape.at(q[i], c[i], n[i], k[i]));
    this.logs = new Float64Array(this.rank * timesNs.length);
    keys.forEach((column, axis) => {
      column.forEach((key, i) => {
        this.logs[i * this.rank + axis] = Math.log(key + offset);
      });
    });
  }

  /** @returns ns, a float */
  at(q: number, c: number, n: number, k: number): number {
    const { here, logs, ratios, rank } = this;
    here[0] = Math.log(q + offset);
    here[1] = Math.log(c + offset);
    here[2] = Math.log(n + offset);
    here[3] = Math.log(k + offset);
    let sum = 0;
    let total = 0;
    let nearest = Number.POSITIVE_INFINITY;
    let same = 0;
    let sameSum = 0;
    for (let i = 0; i < ratios.length; i++) {
      let squared = 0;
      for (let axis = 0; axis < rank; axis++) {
        const gap = logs[i * rank + axis] - here[axis];
        squared += gap * gap;
      }
      if (squared === 0) {
        same++;
        sameSum += ratios[i];
        continue;
      }
      if (squared < nearest) nearest = squared;
      // Falls faster than points at a distance become more, on any number of axes.
      const weight = 1 / (squared * squared * squared);
      sum += weight * ratios[i];
      total += weight;
    }
    const shapeNs = this.shape.at(q, c, n, k);
    if (same > 0) {
      this.state = lookupState.exact;
      return (sameSum / same) * shapeNs;
    }
    this.state = nearest < nearSquared ? lookupState.interpolated : lookupState.extrapolated;
    return (sum / total) * shapeNs;
  }
}
