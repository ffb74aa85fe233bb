export { clusterMachine } from './cluster-machine.js';
export * from './completion.js';
export type { MessageListener } from './core.js';
export { type Counters, countersSchema, type LinkCounters } from './counters.js';
export type { NodeListener } from './feeder/issue.js';
export { type NodeRules, Op, type Program } from './feeder/program.js';
export { createMachine, type Machine } from './machine.js';
export * from './machine-spec.js';
export type { MemorySpec, TierName, TierSpec } from './memory/tiers.js';
export type { MeasuredSpec } from './network/measured-times.js';
export type {
  DimensionKind,
  DimensionSpec,
  LevelSpec,
  LinkOverride,
  NetworkSpec,
} from './network/topology.js';
export type { StuckReport } from './stuck.js';
