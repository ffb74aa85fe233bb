/** Times measured at a few sizes: points put in order, lines between them, the trend beyond. */

export function mergePoints(points: readonly (readonly [number, number])[]): [number, number][] {
  const sums = new Map<number, [number, number]>();
  for (const [key, value] of points) {
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, [value, 1]);
    else {
      sum[0] += value;
      sum[1]++;
    }
  }
  return [...sums]
    .map(([key, [sum, count]]): [number, number] => [key, sum / count])
    .sort((a, b) => a[0] - b[0]);
}

/** First index whose key is greater than `x`. */
export function upperBound(keys: Float64Array, x: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Linear between points, constant outside. */
export function interpolate(keys: Float64Array, values: Float64Array, x: number): number {
  const above = upperBound(keys, x);
  if (above === 0) return values[0];
  if (above === keys.length) return values[above - 1];
  const weight = (x - keys[above - 1]) / (keys[above] - keys[above - 1]);
  return values[above - 1] + weight * (values[above] - values[above - 1]);
}

/** Slope from the middle of the range to its end, never negative. 0 for a single point. */
export function upperSlope(keys: Float64Array, values: Float64Array): number {
  const last = keys.length - 1;
  if (last < 1) return 0;
  const middle = Math.min(last - 1, Math.max(0, upperBound(keys, keys[last] / 2) - 1));
  return Math.max(0, (values[last] - values[middle]) / (keys[last] - keys[middle]));
}
