/**
 * Properties of the KV cache on seeded random runs: nothing is lost or shared wrongly in any tier,
 * everything is let go in the end, a recall only reads what is there, more memory never finds less.
 */
import { Random } from '@astrolabe/base';
import { materialise, type Request } from '@astrolabe/workload';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import type { RunResult } from '../run-result.js';
import { TierStore } from './tier-store.js';

const options = { seed: 5, numRuns: 500 };

/** Requests that share prefixes as a random tree. @param gapNs mean gap between arrivals */
function randomWorkload(seed: number, count: number, gapNs: number): Request[] {
  const random = new Random(seed, 'workload');
  let arrivalNs = 0;
  const requests: Request[] = [];
  for (let id = 0; id < count; id++) {
    arrivalNs += Math.round(random.exponential(gapNs));
    const promptTokens = 1 + random.below(120);
    const outputTokens = 1 + random.below(40);
    const request: Request = { id, arrivalNs, promptTokens, outputTokens };
    if (id > 0 && random.below(4) > 0) {
      const of = random.below(id);
      const parent = requests[of];
      const most = Math.min(promptTokens, parent.promptTokens + parent.outputTokens);
      request.prefix = { of, tokens: 1 + random.below(most) };
    }
    requests.push(request);
  }
  return requests;
}

const chunkBytes = 16 * 512;
const gib = (chunks: number): number => (chunks * chunkBytes) / 2 ** 30;

interface TierCase {
  tier: string;
  shared: boolean;
  chunks: number;
  chunkTokens: number;
  load: string;
  save: string;
}

const tierCase = fc.record({
  tier: fc.constantFrom('host', 'cxl', 'storage'),
  shared: fc.boolean(),
  chunks: fc.integer({ min: 2, max: 40 }),
  chunkTokens: fc.constantFrom(16, 32, 64),
  load: fc.constantFrom('async', 'blocking'),
  save: fc.constantFrom('all', 'prompt'),
});

function clusterFor(numBlocks: number, tiers: readonly TierCase[], engine: object = {}) {
  const instance = { kv_blocks: numBlocks, max_num_batched_tokens: 64, ...engine };
  return clusterOf([instance, instance], {
    node: { storage: { mem_size: 1, mem_bw: 5 } },
    cluster: {
      cxl_mem: { mem_size: 1, mem_bw: 60, mem_latency: 250, num_devices: 2 },
      kv_tiers: tiers.map(({ chunks, chunkTokens, ...tier }) => ({
        ...tier,
        capacity: gib(chunks),
        chunk_tokens: chunkTokens,
      })),
    },
  });
}

/** Lets transfers end that were under way when the last request finished. */
async function drain(run: RunResult, machine: FixedMachine): Promise<void> {
  for (;;) {
    const completion = await machine.next(Number.POSITIVE_INFINITY);
    if (completion === undefined) return;
    run.engines[completion.instance].completeMove(completion);
  }
}

/** Longest prefix that a request shares with any other, tokens. */
function longestShared(requests: readonly Request[]): number[] {
  const content = materialise(requests, { all: true });
  const sequences = requests.map((_, index) => content.sequence(index) as Int32Array);
  return sequences.map((own, index) =>
    sequences.reduce((longest, other, at) => {
      if (at === index) return longest;
      let same = 0;
      while (same < own.length && same < other.length && own[same] === other[same]) same++;
      return Math.max(longest, same);
    }, 0),
  );
}

describe('KV cache properties', () => {
  it('every block is returned, nothing is shared wrongly, pools keep their bounds', async () => {
    const scenario = fc.asyncProperty(
      fc.nat(),
      fc.integer({ min: 12, max: 40 }),
      fc.array(tierCase, { maxLength: 3 }),
      fc.boolean(),
      async (seed, numBlocks, tiers, asyncScheduling) => {
        const requests = randomWorkload(seed, 14, 3000);
        const times = { stepNs: 1000, bandwidthGBps: 4 };
        const machine = new FixedMachine(times);
        const cluster = clusterFor(numBlocks, tiers, { async_scheduling: asyncScheduling });
        const run = await runFixed({ cluster, requests, backend: machine });
        await drain(run, machine);
        const shared = longestShared(requests);
        for (const { status, index, hits } of requestResults(run).map((row, index) => ({
          status: row.status,
          index,
          hits: run.states[index].prefixHitTokens + run.states[index].tierHitTokens,
        }))) {
          expect(status).toBe('finished');
          expect(hits).toBeLessThanOrEqual(
            Math.min(shared[index], requests[index].promptTokens - 1),
          );
        }
        for (const { kv, traffic } of run.engines) {
          expect(kv.pool.usedBlocks).toBe(0);
          expect(kv.pool.freeBlocks).toBe(kv.pool.numBlocks - 1);
          expect(kv.pool.residentBlocks).toBeLessThan(kv.pool.numBlocks);
          expect(traffic?.numUnderWay ?? 0).toBe(0);
          for (const { store } of traffic?.tiers.tiers ?? []) {
            expect(store.numHeld).toBe(0);
            expect(store.usedBytes).toBeLessThanOrEqual(store.capacityBytes);
            expect(store.counters.stored - store.counters.evictions).toBe(store.numEntries);
          }
        }
      },
    );
    await fc.assert(scenario, options);
  });

  it('a pool below the device is exactly a least-recently-used list', () => {
    const operation = fc.tuple(fc.constantFrom('write', 'read', 'begin', 'end'), fc.nat(9));
    const scenario = fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(operation, { maxLength: 60 }),
      (capacity, operations) => {
        const store = new TierStore(capacity);
        // The model: keys, least recently used first, and how often each is being read.
        let model: number[] = [];
        const readers = new Map<number, number>();
        const touch = (key: number): void => {
          model = [...model.filter((other) => other !== key), key];
        };
        for (const [kind, key] of operations) {
          const there = model.includes(key);
          if (kind === 'write') {
            const victim = model.find((other) => (readers.get(other) ?? 0) === 0);
            const room = model.length < capacity || victim !== undefined;
            expect(store.reserve(key, 1)).toBe(!there && room);
            if (!there && room) {
              if (model.length === capacity) model = model.filter((other) => other !== victim);
              store.commit(key);
            }
            if (there || room) touch(key);
          } else if (kind === 'end') {
            if ((readers.get(key) ?? 0) === 0) continue;
            store.unpin(key);
            readers.set(key, (readers.get(key) ?? 0) - 1);
          } else if (there) {
            store.pin(key);
            readers.set(key, (readers.get(key) ?? 0) + 1);
            touch(key);
            if (kind === 'begin') continue;
            store.unpin(key);
            readers.set(key, (readers.get(key) ?? 0) - 1);
          } else {
            // What was evicted, or never written, cannot be read.
            expect(() => store.pin(key)).toThrow('resident');
          }
          expect(store.numEntries).toBe(model.length);
          for (let other = 0; other < 10; other++) {
            expect(store.has(other)).toBe(model.includes(other));
          }
        }
      },
    );
    fc.assert(scenario, options);
  });

  it('more capacity never finds less, requests coming one at a time', async () => {
    // Far apart, so that the order of requests does not depend on what hits.
    const gapNs = 10_000_000;
    const scenario = fc.asyncProperty(
      fc.nat(),
      fc.integer({ min: 2, max: 20 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 12 }),
      fc.constantFrom('async', 'blocking'),
      async (seed, chunks, moreChunks, moreBlocks, load) => {
        const requests = randomWorkload(seed, 12, gapNs);
        const hits = async (numChunks: number, numBlocks: number): Promise<number> => {
          const tier = { tier: 'host', shared: true, chunkTokens: 16, load, save: 'all' };
          const cluster = clusterFor(numBlocks, [{ ...tier, chunks: numChunks }]);
          const run = await runFixed({
            cluster: { ...cluster, instances: cluster.instances.slice(0, 1) },
            requests,
            times: { stepNs: 1000, bandwidthGBps: 16 },
          });
          return run.states.reduce((sum, s) => sum + s.prefixHitTokens + s.tierHitTokens, 0);
        };
        const least = await hits(chunks, 12);
        expect(await hits(chunks + moreChunks, 12)).toBeGreaterThanOrEqual(least);
        const device = await hits(2, 12);
        expect(await hits(2, 12 + moreBlocks)).toBeGreaterThanOrEqual(device);
      },
    );
    await fc.assert(scenario, { ...options, numRuns: 500 });
  });

  it('a tier that nothing fits into changes no result', async () => {
    const scenario = fc.asyncProperty(fc.nat(), async (seed) => {
      const requests = randomWorkload(seed, 14, 3000);
      const record = async (tiers: readonly TierCase[]): Promise<string> => {
        const backend = new FixedMachine({ stepNs: 1000 });
        const run = await runFixed({ cluster: clusterFor(20, tiers), requests, backend });
        return JSON.stringify([backend.submitted, requestResults(run)]);
      };
      const tier = { tier: 'host', shared: false, chunkTokens: 64, load: 'async', save: 'all' };
      // A private half of three chunks of 16 tokens has no room for one of 64.
      expect(await record([{ ...tier, chunks: 3 }])).toBe(await record([]));
    });
    await fc.assert(scenario, { ...options, numRuns: 500 });
  });
});
