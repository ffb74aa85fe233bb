/** The floors of the house: which package may use which. ARCHITECTURE.md shows the same table. */
export const floors: Readonly<Record<string, number>> = {
  base: 0,
  config: 0.5,
  chakra: 0.5,
  profile: 1,
  workload: 1,
  'profiler-ingest': 2,
  'system-simulator': 2,
  'trace-generator': 3,
  'serving-loop': 4,
  report: 5,
};

/** Edges the floors would allow and the design forbids. */
export const forbidden: readonly (readonly [from: string, to: string, reason: string])[] = [
  ['trace-generator', 'system-simulator', 'they meet only in the execution graph'],
  ['system-simulator', 'profile', 'the machine never sees a profile'],
  ['workload', 'config', 'a workload never sees a cluster'],
];
