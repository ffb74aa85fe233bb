/**
 * A piecewise-linear line through measured points with few knots. Knots are measured keys, chosen by
 * dynamic programming to make the squared error of the connecting lines smallest, as few as reach the
 * tolerance; then the knots' values are fitted to all points by least squares, which averages noise
 * and leaves no bias. A stair (tile and wave effects of GEMMs) is two neighbouring knots.
 */
import { interpolate, mergePoints } from '@astrolabe/base';
import { LeastSquares } from './least-squares.js';

export interface LinePoint {
  readonly at: number;
  readonly ns: number;
  /** What an error is measured against, ns: its own time, or more where it hardly matters. */
  readonly scaleNs: number;
}

export interface Line {
  readonly at: number[];
  readonly ns: number[];
}

/**
 * @param points ascending in `at`, not empty
 * @param tolerance root mean square of error / scale that is good enough
 */
export function fitLine(points: readonly LinePoint[], tolerance: number, maxKnots: number): Line {
  if (points.length <= 2) return { at: points.map((p) => p.at), ns: points.map((p) => p.ns) };
  const knots = chooseKnots(points, tolerance, maxKnots);
  return solveLine(
    points,
    knots.map((index) => points[index].at),
  );
}

/** Least-squares values at given knots, which span the points. */
export function solveLine(points: readonly LinePoint[], at: readonly number[]): Line {
  const system = new LeastSquares(at.length);
  const keys = Float64Array.from(points, (point) => point.at);
  const times = Float64Array.from(points, (point) => point.ns);
  const prior = at.map((key) => interpolate(keys, times, key));
  let segment = 0;
  for (const point of points) {
    while (segment < at.length - 2 && point.at > at[segment + 1]) segment++;
    const weight = (point.at - at[segment]) / (at[segment + 1] - at[segment]);
    const scale = 1 / (point.scaleNs * point.scaleNs);
    system.add([segment, segment + 1], [1 - weight, weight], 2, point.ns, scale);
  }
  system.ridge(prior, 1e-6);
  return { at: [...at], ns: Array.from(system.solve()) };
}

/** Indices of the knots; first and last point are always among them. */
function chooseKnots(
  points: readonly LinePoint[],
  tolerance: number,
  maxKnots: number,
): readonly number[] {
  const n = points.length;
  const cost = segmentCosts(points);
  // best[j] = least cost of a path of k knots from point 0 to point j; from[k][j] its last step.
  let best = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  best[0] = 0;
  const from: Int32Array[] = [];
  const enough = tolerance * tolerance * n;
  for (let knots = 2; knots <= Math.min(maxKnots, n); knots++) {
    const next = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
    const steps = new Int32Array(n).fill(-1);
    for (let j = 1; j < n; j++) {
      for (let i = 0; i < j; i++) {
        const total = best[i] + cost[i * n + j];
        if (total < next[j]) {
          next[j] = total;
          steps[j] = i;
        }
      }
    }
    from.push(steps);
    best = next;
    if (best[n - 1] <= enough) break;
  }
  const path = [n - 1];
  for (let k = from.length - 1; k >= 0; k--) path.push(from[k][path[path.length - 1]]);
  return path.reverse();
}

/** Squared relative error of the points strictly between i and j if one line connects them. */
function segmentCosts(points: readonly LinePoint[]): Float64Array {
  const n = points.length;
  const cost = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      const slope = (points[j].ns - points[i].ns) / (points[j].at - points[i].at);
      let sum = 0;
      for (let k = i + 1; k < j; k++) {
        const line = points[i].ns + slope * (points[k].at - points[i].at);
        const error = (line - points[k].ns) / points[k].scaleNs;
        sum += error * error;
      }
      cost[i * n + j] = sum;
    }
  }
  return cost;
}

/** Points of one operator, ascending, repeated keys averaged, scaled by their own time. */
export function linePoints(points: readonly (readonly [number, number])[]): LinePoint[] {
  return mergePoints(points).map(([at, ns]) => ({ at, ns, scaleNs: ns }));
}
