/** Two series against each other, as accuracy is defined for throughput, power and memory. */

export interface SeriesError {
  /** Sum of |difference| / sum of real, percent. */
  readonly wapePct: number;
  /** Mean gap between the cumulative curves / total of real, percent. */
  readonly cumulativePct: number;
  /** Signed error of the totals, percent. */
  readonly totalPct: number;
  readonly intervals: number;
}

/** The shorter series counts as zero where it has ended. Undefined when the real one is all zero. */
export function compareSeries(
  real: readonly number[],
  simulated: readonly number[],
): SeriesError | undefined {
  const intervals = Math.max(real.length, simulated.length);
  let realSum = 0;
  let simulatedSum = 0;
  let absolute = 0;
  let gap = 0;
  for (let i = 0; i < intervals; i++) {
    const r = real[i] ?? 0;
    const s = simulated[i] ?? 0;
    realSum += r;
    simulatedSum += s;
    absolute += Math.abs(s - r);
    gap += Math.abs(simulatedSum - realSum);
  }
  if (realSum === 0) return undefined;
  return {
    wapePct: (100 * absolute) / realSum,
    cumulativePct: (100 * gap) / intervals / realSum,
    totalPct: (100 * (simulatedSum - realSum)) / realSum,
    intervals,
  };
}

/** Mean of |difference| / real over intervals where the real value is not zero, percent. */
export function mapePct(real: readonly number[], simulated: readonly number[]): number | undefined {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < Math.min(real.length, simulated.length); i++) {
    if (real[i] === 0) continue;
    sum += Math.abs(simulated[i] - real[i]) / Math.abs(real[i]);
    count++;
  }
  return count === 0 ? undefined : (100 * sum) / count;
}

/** Signed relative error in percent; undefined when there is nothing to divide by. */
export function errorPct(real: number, simulated: number): number | undefined {
  if (real === 0) return simulated === 0 ? 0 : undefined;
  return (100 * (simulated - real)) / real;
}
