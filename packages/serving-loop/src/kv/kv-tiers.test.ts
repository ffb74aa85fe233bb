/**
 * Tiers on small runs worked by hand: when a parked request's first token comes, when a blocked
 * batch's does, how memory is divided, and that a run without tiers is the same byte for byte.
 * Blocks are 16 tokens, chunks 32, KV is 512 B a token: a chunk of 32 tokens is 16384 B.
 */
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, exampleModel, FixedMachine, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { buildTiers } from './build-tiers.js';

const times = { stepNs: 1000, bandwidthGBps: 16.384 };
const loadNs = 1000; // One chunk.

const request = (id: number, arrivalNs: number, promptTokens: number, of?: number): Request => ({
  id,
  arrivalNs,
  promptTokens,
  outputTokens: 2,
  ...(of === undefined ? {} : { prefix: { of, tokens: Math.min(promptTokens, 64) } }),
});

function tiered(load: 'async' | 'blocking', extra: object = {}) {
  return clusterOf([{ kv_blocks: 1000 }, { kv_blocks: 1000 }], {
    cluster: { kv_tiers: [{ tier: 'host', shared: true, chunk_tokens: 32, load, ...extra }] },
  });
}

/** Request 0 fills the pool from instance 0; request 1 has the same prompt on instance 1. */
const twins = [request(0, 0, 70), request(1, 100_000, 70, 0)];

describe('KV tiers', () => {
  it('async: the request waits for its chunks, then computes what is left', async () => {
    const run = await runFixed({ cluster: tiered('async'), requests: twins, times });
    const [, second] = requestResults(run);
    // Two chunks of 32 tokens come one after the other in one transfer, then one step.
    expect(run.states[1].tierHitTokens).toBe(64);
    expect(second.ttftNs).toBe(2 * loadNs + times.stepNs);
    expect(run.engines[1].traffic?.loadedBytes).toBe(2 * 16384);
  });

  it('blocking: at idle it takes the same time', async () => {
    const run = await runFixed({ cluster: tiered('blocking'), requests: twins, times });
    expect(requestResults(run)[1].ttftNs).toBe(2 * loadNs + times.stepNs);
  });

  it.each(['async', 'blocking'] as const)(
    '%s: of a prompt that is there as a whole the last token is computed',
    async (load) => {
      const backend = new FixedMachine(times);
      const whole = [request(0, 0, 64), request(1, 100_000, 64, 0)];
      const run = await runFixed({ cluster: tiered(load), requests: whole, backend });
      expect(run.states[1].tierHitTokens).toBe(63);
      const steps = backend.submitted.filter(({ instance, lane }) => instance === 1 && !lane);
      expect(steps[0]).toMatchObject({ newTokens: [1], contextTokens: [63] });
      expect(requestResults(run)[1].ttftNs).toBe(2 * loadNs + 1000);
    },
  );

  it('async: a recall holds blocks that nobody else gets meanwhile', async () => {
    // 6 blocks of 16 on instance 1: request 1 recalls into 4 of them, with its rest they are 5. Request 3
    // comes meanwhile and needs 3; too few are free until request 1 has ended: 2 us of recall, 2 steps.
    const cluster = clusterOf([{ kv_blocks: 1000 }, { kv_blocks: 7 }], {
      cluster: { kv_tiers: [{ tier: 'host', shared: true, chunk_tokens: 32 }] },
    });
    const requests = [...twins, request(2, 100_100, 8), request(3, 100_200, 40)];
    const run = await runFixed({ cluster, requests, times });
    const [, second, , fourth] = requestResults(run);
    expect(second.finishNs).toBe(104_000);
    expect(fourth.scheduledNs).toBe(104_000);
    // With one block more request 3 goes in between, and request 1 has its last block when that has ended.
    const roomy = clusterOf([{ kv_blocks: 1000 }, { kv_blocks: 8 }], {
      cluster: { kv_tiers: [{ tier: 'host', shared: true, chunk_tokens: 32 }] },
    });
    const rows = requestResults(await runFixed({ cluster: roomy, requests, times }));
    expect([rows[3].scheduledNs, rows[3].finishNs, rows[1].finishNs]).toEqual([
      100_200, 102_200, 104_200,
    ]);
  });

  it('async: others go on meanwhile; blocking: they wait', async () => {
    // Request 3 is decoding on instance 1 when request 5 recalls; 2 and 4 keep instance 0 in turn.
    const long = (id: number, arrivalNs: number): Request => ({
      ...request(id, arrivalNs, 8),
      outputTokens: 40,
    });
    const requests = [request(0, 0, 70), long(1, 90_000), request(2, 95_000, 8)];
    requests.push(request(3, 100_500, 70, 0));
    const gaps = async (load: 'async' | 'blocking'): Promise<number[]> => {
      const slow = { stepNs: 1000, bandwidthGBps: 3.2768 };
      const run = await runFixed({ cluster: tiered(load), requests, times: slow });
      const decoding = requestResults(run)[1];
      return [run.states[3].tierHitTokens, decoding.tpotNs ?? 0];
    };
    expect(await gaps('async')).toEqual([64, 1000]);
    const [hits, tpotNs] = await gaps('blocking');
    expect(hits).toBe(64);
    // 10 us of recall stall one batch; the token of the batch in flight is not late.
    expect(tpotNs).toBeGreaterThan(1000 + 8000 / 39);
  });

  it('divides a private tier evenly and gives a shared one whole', () => {
    const of = (shared: boolean, tier: string) =>
      buildTiers(
        clusterOf([{}, {}, {}], {
          node: { storage: { mem_size: 9, mem_bw: 5 } },
          cluster: {
            kv_tiers: [{ tier, shared }],
            cxl_mem: { mem_size: 3, mem_bw: 60, mem_latency: 250, num_devices: 2 },
          },
        }),
      ).pools.map((pool) => [pool.label, pool.store.capacityBytes / 2 ** 30]);
    expect(of(true, 'host')).toEqual([['node0/host', 1]]);
    expect(of(true, 'cxl')).toEqual([['cluster/cxl', 6]]);
    expect(of(false, 'cxl').map(([, gib]) => gib)).toEqual([2, 2, 2]);
    expect(of(false, 'storage').map(([, gib]) => gib)).toEqual([3, 3, 3]);
  });

  it('refuses tiers that are not there', () => {
    const tier = (entry: object) => () =>
      buildTiers(clusterOf([{}], { cluster: { kv_tiers: [entry] } }));
    expect(tier({ tier: 'cxl' })).toThrow(/^\w.*: kv_tiers\[0\]\.tier: the cluster has no cxl_mem/);
    expect(tier({ tier: 'storage' })).toThrow('its node has no storage');
    expect(tier({ tier: 'host', capacity: 5 })).toThrow('5 GiB, but there are 1.0 GiB');
    expect(tier({ tier: 'host', chunk_tokens: 8 })).toThrow('hold no block of 16');
  });

  it('shares a memory with the tiers before and with weights', () => {
    const pools = (kv_tiers: object[], instance: object = {}): number[] =>
      buildTiers(clusterOf([instance], { cluster: { kv_tiers } })).pools.map(
        ({ store }) => store.capacityBytes,
      );
    const host = { tier: 'host' };
    const half = 2 ** 29;
    expect(pools([{ ...host, capacity: 0.5 }, host])).toEqual([half, half]);
    expect(() => pools([host, host])).toThrow(
      'kv_tiers[1].capacity: nothing is left: weights and tiers before take the rest of 1.0',
    );
    expect(() => pools([host, { ...host, capacity: 1 }])).toThrow('1 GiB, but there are 0.0 GiB:');
    const [whole] = pools([host]);
    const placement = { layers: { lm_head: { weights: 'cpu' } } };
    const head = exampleModel.hidden_size * exampleModel.vocab_size * 2;
    expect(whole - pools([host], { placement })[0]).toBe(head);
  });

  it('goes on from tier to tier', async () => {
    // The host holds one chunk only; the second comes from CXL.
    const chunkGiB = 16384 / 2 ** 30;
    const cluster = clusterOf([{}, {}], {
      cluster: {
        cxl_mem: { mem_size: 1, mem_bw: 60, mem_latency: 250 },
        kv_tiers: [
          { tier: 'host', shared: true, chunk_tokens: 32, capacity: chunkGiB },
          { tier: 'cxl', shared: true, chunk_tokens: 32 },
        ],
      },
    });
    const run = await runFixed({ cluster, requests: twins, times });
    const byPool = Object.fromEntries(run.tiers.latest().map((row) => [row.pool, row.hitTokens]));
    // Prompt chunks 0 and 1 were written in one go: there was room for the first only.
    expect(byPool).toMatchObject({ 'node0/host': 32, 'cluster/cxl': 32 });
  });

  it('prompt-only saving writes no output', async () => {
    const requests = [{ ...request(0, 0, 40), outputTokens: 60 }];
    const entries = async (save: string): Promise<unknown> => {
      const run = await runFixed({ cluster: tiered('async', { save }), requests, times });
      return run.tiers.latest().find((row) => row.pool === 'node0/host')?.entries;
    };
    expect(await entries('all')).toBe(3);
    expect(await entries('prompt')).toBe(1);
  });

  it('an empty list of tiers is the same as none, byte for byte', async () => {
    const requests = Array.from({ length: 40 }, (_, i) =>
      request(i, i * 700, 20 + 9 * i, i > 0 ? i - 1 : undefined),
    );
    const record = async (cluster: object): Promise<string> => {
      const backend = new FixedMachine(times);
      const run = await runFixed({ cluster: clusterOf([{}, {}], { cluster }), requests, backend });
      return JSON.stringify([backend.submitted, requestResults(run), run.tiers.rows()]);
    };
    expect(await record({ kv_tiers: [] })).toBe(await record({}));
  });
});
