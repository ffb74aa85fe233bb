/** Order statistics as NumPy's default (linear between the two nearest ranks). */
import { z } from 'zod';

/** @param sorted ascending, not empty. @param fraction in [0, 1]. */
export function quantileSorted(sorted: ArrayLike<number>, fraction: number): number {
  const position = (sorted.length - 1) * fraction;
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (position - low);
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
  const sorted = Float64Array.from(values).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  return {
    count: sorted.length,
    mean: sum / sorted.length,
    p50: quantileSorted(sorted, 0.5),
    p90: quantileSorted(sorted, 0.9),
    p95: quantileSorted(sorted, 0.95),
    p99: quantileSorted(sorted, 0.99),
    max: sorted[sorted.length - 1],
  };
}
