export type { Backend } from './backend.js';
export type { InstanceEngine } from './instance-engine.js';
export type { Interval } from './interval-series.js';
export { type MemoryBudget, memoryBudget } from './kv/memory-budget.js';
export { type RequestResult, requestResultSchema, requestResults } from './metrics.js';
export type { PowerReading } from './power/power-meter.js';
export { parseRoutingPolicy, type RoutingPolicy } from './router.js';
export { type HostTerms, type RunInputs, type RunResult, runServing } from './serving-run.js';
export { formatSummary, type Summary, summarise } from './summary.js';
