/**
 * Throughput logs of the paper's runs count from the logger's start, workloads from theirs. The log's
 * zero lies before the workload's: shifting ours by so much takes the error of the calibration case
 * fig5-a6000-sd-pc from 7.4 to 5.9 % WAPE; between 0.08 and 0.18 s it is flat. The same logger wrote
 * the acceptance cases' logs, whose errors are least at the same shift.
 */
import type { RunData } from '../../run-data.js';
import type { MeasuredSeries } from './read-measured.js';

const leadS = 0.1;
/** Simulated intervals in one measured interval; the lead is a whole number of them. */
const parts = 20;

/** Interval to simulate with, s. */
export function simulatedIntervalS(series: MeasuredSeries | undefined): number {
  if (series === undefined) return 1;
  return series.kind === 'throughput' ? series.intervalS / parts : series.intervalS;
}

/** Output tokens of the log's intervals, from a run with `simulatedIntervalS`. */
export function tokensOnLogClock(ours: RunData, series: MeasuredSeries): number[] {
  const fine = ours.series?.outputTokens ?? [];
  const shift = Math.round((leadS / series.intervalS) * parts);
  const intervals = Math.ceil((fine.length + shift) / parts);
  const tokens = new Array<number>(fine.length === 0 ? 0 : intervals).fill(0);
  for (const [i, count] of fine.entries()) tokens[Math.floor((i + shift) / parts)] += count;
  return tokens;
}
