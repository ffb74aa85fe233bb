export * from './latency-metrics.js';
export type { Series } from './run-data.js';
export { errorPct } from './series.js';
