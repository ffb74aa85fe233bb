/** Order statistics as NumPy's default (linear between the two nearest ranks). */
import { z } from 'zod';

/** @param sorted ascending, not empty. @param fraction in [0, 1]. */
export function quantileSorted(sorted: ArrayLike<number>, fraction: number): number {
  return quantile(sorted.length, (rank) => sorted[rank], fraction);
}

function quantile(count: number, valueAt: (rank: number) => number, fraction: number): number {
  const position = (count - 1) * fraction;
  const low = Math.floor(position);
  const [a, b] = [valueAt(low), valueAt(Math.min(low + 1, count - 1))];
  return a + (b - a) * (position - low);
}

export const distributionSchema = z.strictObject({
  count: z.number().int().positive(),
  mean: z.number(),
  p50: z.number(),
  p90: z.number(),
  p95: z.number(),
  p99: z.number(),
  max: z.number(),
});
export type Distribution = Readonly<z.infer<typeof distributionSchema>>;

/** Mean and percentiles; all NaN-free, `undefined` when there is no sample. */
export function distribution(values: readonly number[] | Float64Array): Distribution | undefined {
  if (values.length === 0) return undefined;
  const sorted = new Float64Array(values).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  return describe(sorted.length, sum, (rank) => sorted[rank]);
}

/** Values, each as often as its count says. */
export interface Repeated {
  readonly values: Float64Array;
  readonly counts: Int32Array;
}

/** The figures of `distribution` for all values one by one, to the last bit. */
export function distributionOfRepeated({ values, counts }: Repeated): Distribution | undefined {
  if (values.length === 0) return undefined;
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  /** How many values there are up to and with each in order. */
  const upTo = new Float64Array(order.length);
  let count = 0;
  let sum = 0;
  for (const [i, at] of order.entries()) {
    for (let n = 0; n < counts[at]; n++) sum += values[at];
    count += counts[at];
    upTo[i] = count;
  }
  return describe(count, sum, (rank) => values[order[upTo.findIndex((end) => end > rank)]]);
}

function describe(count: number, sum: number, valueAt: (rank: number) => number): Distribution {
  return {
    count,
    mean: sum / count,
    p50: quantile(count, valueAt, 0.5),
    p90: quantile(count, valueAt, 0.9),
    p95: quantile(count, valueAt, 0.95),
    p99: quantile(count, valueAt, 0.99),
    max: valueAt(count - 1),
  };
}
