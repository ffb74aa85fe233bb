/**
 * Metric definitions, the same for measured and simulated runs:
 * TTFT = first token - arrival; TPOT = (last - first token) / (output - 1), none for one token;
 * latency = last token - arrival; queueing = first scheduled - arrival;
 * prefill = first token - first scheduled, which needs no arrival clock.
 */
import { type Distribution, distribution, nsPerMs, nsPerS } from '@astrolabe/base';
import type { RequestRow } from './run-data.js';

/** A request counts as not queued when it was scheduled this soon after its arrival. */
export const unqueuedLimitNs = 50e6;

export const latencyMetrics = {
  ttft: (row) => row.firstTokenNs - row.arrivalNs,
  tpot: (row) =>
    row.outputTokens > 1
      ? (row.lastTokenNs - row.firstTokenNs) / (row.outputTokens - 1)
      : undefined,
  latency: (row) => row.lastTokenNs - row.arrivalNs,
  queueing: (row) => (row.scheduledNs === undefined ? undefined : row.scheduledNs - row.arrivalNs),
  prefill: (row) =>
    row.scheduledNs === undefined ? undefined : row.firstTokenNs - row.scheduledNs,
} as const satisfies Record<string, (row: RequestRow) => number | undefined>;

export type LatencyMetric = keyof typeof latencyMetrics;
export const latencyMetricNames = Object.keys(latencyMetrics) as LatencyMetric[];

export const statistics = ['mean', 'p50', 'p90', 'p95', 'p99'] as const;

/** Distribution of a metric in ms; undefined when no row has it. */
export function metricMs(
  rows: readonly RequestRow[],
  metric: LatencyMetric,
): Distribution | undefined {
  const values = rows.flatMap((row) => {
    const value = latencyMetrics[metric](row);
    return value === undefined ? [] : [value / nsPerMs];
  });
  return distribution(values);
}

/** First arrival to last token, s. */
export function makespanS(rows: readonly RequestRow[]): number {
  let first = Infinity;
  let last = -Infinity;
  for (const row of rows) {
    first = Math.min(first, row.arrivalNs);
    last = Math.max(last, row.lastTokenNs);
  }
  return (last - first) / nsPerS;
}

/** Mean gap between tokens over all gaps, ms; needs first and last token times only. */
export function itlMeanMs(rows: readonly RequestRow[]): number | undefined {
  let time = 0;
  let gaps = 0;
  for (const row of rows) {
    time += row.lastTokenNs - row.firstTokenNs;
    gaps += row.outputTokens - 1;
  }
  return gaps > 0 ? time / gaps / nsPerMs : undefined;
}

/** False where the run does not say when it was scheduled. */
export function isUnqueued(row: RequestRow): boolean {
  return row.scheduledNs !== undefined && row.scheduledNs - row.arrivalNs <= unqueuedLimitNs;
}

/** Over the makespan. */
export function outputTokensPerS(rows: readonly RequestRow[]): number {
  return rows.reduce((sum, row) => sum + row.outputTokens, 0) / makespanS(rows);
}
