/** A summary with a part of everything, made up. */
import type { Summary } from '@astrolabe/serving-loop';

const figures = { count: 2, mean: 1, p50: 1, p90: 2, p95: 2, p99: 2, max: 2 };
export const exampleSummary: Summary = {
  complete: false,
  requests: { total: 3, finished: 2 },
  makespanS: 4,
  throughput: { requestsPerS: 0.5, promptTokensPerS: 4, outputTokensPerS: 2 },
  ttftMs: figures,
  tpotMs: figures,
  itlMs: null,
  latencyMs: figures,
  queueingMs: figures,
  iterations: 9,
  preemptions: 1,
  recomputedTokens: 0,
  promptTokens: 16,
  outputTokens: 8,
  prefixHitTokens: 4,
  instances: [
    {
      name: 'i<0>',
      model: 'm',
      hardware: 'h',
      requests: 2,
      kvBlocks: 100,
      kvPeakBlocks: 50,
      kvPeakUsage: 0.5,
      preemptions: 1,
    },
  ],
  fitted: ['x & y'],
  lookups: { total: 10, extrapolatedShare: 0.1, profiles: [] },
  saturation: [],
  trust: {
    overloaded: false,
    load: 1,
    saturation: {},
    basis: 'fitted',
    extrapolatedShare: 0.1,
    profiles: [
      { hardware: 'H', model: 'm', dtype: 'bf16', measurement: 'roofline', source: 'a < b' },
    ],
    assumedLinksShare: 0,
    workload: [],
    metrics: {},
    intervals90: null,
    measuredLinks: {
      tables: ['a.json: X & Y'],
      communications: { measured: 4, beyond: 1, simulated: 2 },
      exposedShare: 0.1,
      errorPct: null,
    },
  },
};
