/**
 * The engine's own behaviour, all mixed at random: whatever is switched on, every request finishes or
 * is abandoned by its client, tokens are exact, and no block stays behind.
 */
import { hostStepSchema, outputPathSchema } from '@astrolabe/config';
import type { Request } from '@astrolabe/workload';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';

const engine = fc.record({
  kv_blocks: fc.integer({ min: 14, max: 40 }),
  max_num_seqs: fc.integer({ min: 1, max: 6 }),
  max_num_batched_tokens: fc.constantFrom(16, 64, 512),
  async_scheduling: fc.boolean(),
  enable_prefix_caching: fc.boolean(),
  scheduling_policy: fc.constantFrom('fcfs', 'priority'),
  speculative_tokens: fc.integer({ min: 0, max: 4 }),
  speculative_acceptance: fc.constantFrom(0, 0.3, 0.8, 1),
  eos_share: fc.constantFrom(0, 0.5, 1),
});

const request = fc.record({
  promptTokens: fc.integer({ min: 1, max: 150 }),
  outputTokens: fc.integer({ min: 1, max: 40 }),
  gapNs: fc.integer({ min: 0, max: 4000 }),
  priority: fc.nat(3),
  prefix: fc.option(fc.tuple(fc.nat(), fc.nat()), { nil: undefined }),
});

const tier = fc.constantFrom(
  [],
  [{ tier: 'host', chunk_tokens: 16, capacity: 20 / 2 ** 17 }],
  [{ tier: 'host', chunk_tokens: 32, load: 'blocking', shared: true }],
);

function workloadOf(
  entries: readonly (typeof request extends fc.Arbitrary<infer T> ? T : never)[],
) {
  let arrivalNs = 0;
  const requests: Request[] = [];
  for (const [id, { gapNs, prefix, ...rest }] of entries.entries()) {
    arrivalNs += gapNs;
    const own: Request = { id, arrivalNs, ...rest };
    if (prefix !== undefined && id > 0) {
      const parent = requests[prefix[0] % id];
      const most = Math.min(own.promptTokens, parent.promptTokens + parent.outputTokens);
      own.prefix = { of: parent.id, tokens: 1 + (prefix[1] % most) };
    }
    requests.push(own);
  }
  return requests;
}

describe('engine properties', () => {
  it('every request ends with exact tokens and leaves nothing: 600 random engines', async () => {
    const seen = { aborted: 0, preempted: 0, tierHits: 0, prefixHits: 0, accepted: 0 };
    const scenario = fc.asyncProperty(
      engine,
      fc.array(request, { minLength: 1, maxLength: 12 }),
      tier,
      fc.constantFrom(undefined, 15_000, 60_000),
      fc.boolean(),
      fc.constantFrom(undefined, 40),
      async (options, entries, kv_tiers, clientTimeoutNs, host, window) => {
        const requests = workloadOf(entries);
        const cluster = clusterOf([options], { cluster: { kv_tiers } });
        const [instance] = cluster.instances;
        const model = { ...instance.model, slidingWindow: window };
        const steps = { X: hostStepSchema.parse({}) };
        const output = outputPathSchema.parse({});
        const backend = new FixedMachine({ stepNs: 1000, bandwidthGBps: 8 });
        const run = await runFixed({
          cluster: { ...cluster, instances: [{ ...instance, model }] },
          requests,
          backend,
          clientTimeoutNs,
          hostTerms: { frontEndDelayNs: 0, warmUpNs: 0, ...(host ? { steps, output } : {}) },
        });
        const [own] = run.engines;
        for (;;) {
          const completion = await backend.next(Number.POSITIVE_INFINITY);
          if (completion === undefined) break;
          if ((completion.lane ?? 0) > 0) own.completeMove(completion);
          else own.complete(completion);
        }
        for (const [index, row] of requestResults(run).entries()) {
          const state = run.states[index];
          if (row.status === 'finished') expect(state.numOutputTokens).toBe(row.outputTokens);
          else expect([row.status, clientTimeoutNs === undefined]).toEqual(['aborted', false]);
        }
        for (const state of run.states) {
          if (state.abandonedNs >= 0) seen.aborted++;
          seen.preempted += state.preemptions;
          seen.tierHits += state.tierHitTokens;
          seen.prefixHits += state.prefixHitTokens;
        }
        seen.accepted += own.scheduler.acceptance?.accepted ?? 0;
        expect(own.kv.pool.usedBlocks).toBe(0);
        expect(own.kv.pool.freeBlocks).toBe(own.kv.pool.numBlocks - 1);
        for (const { store } of own.traffic?.tiers.tiers ?? []) expect(store.numHeld).toBe(0);
        for (const step of backend.submitted.filter(({ moves }) => moves === undefined)) {
          const tokens = step.newTokens.reduce((sum, count) => sum + count, 0);
          expect(tokens).toBeLessThanOrEqual(options.max_num_batched_tokens);
          expect(step.requests.length).toBeLessThanOrEqual(options.max_num_seqs);
          expect(new Set(step.requests).size).toBe(step.requests.length);
        }
      },
    );
    await fc.assert(scenario, { seed: 11, numRuns: 600 });
    // The scenarios do what they are meant to.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20);
  });
});
