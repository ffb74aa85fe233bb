export { type Comparison, compareRuns, type MetricError } from './compare.js';
export { formatComparison } from './format-comparison.js';
export * from './latency-metrics.js';
export type { RequestRow, RunData, Series } from './run-data.js';
export { compareSeries, errorPct, mapePct, type SeriesError } from './series.js';
