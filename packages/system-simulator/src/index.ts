export { clusterMachine } from './cluster-machine.js';
export * from './completion.js';
export type { Counters } from './counters.js';
export type { Program } from './feeder/program.js';
export { createMachine, type Machine } from './machine.js';
export * from './machine-spec.js';
