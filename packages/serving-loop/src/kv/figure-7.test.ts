/**
 * Figure 7 of the paper: prefix hits that real vLLM, and vLLM with LMCache, counted on the pulse
 * workload. Which tokens hit is decided by content and order alone, so the numbers must be exact
 * whatever a step and a transfer take. Reference: kv_metrics and the LMCache server's log.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadCluster } from '@astrolabe/config/cli';
import type { Request } from '@astrolabe/workload';
import { readWorkload } from '@astrolabe/workload/cli';
import { describe, expect, it } from 'vitest';
import { runFixed } from '../machine.test-helper.js';

const shared = fileURLToPath(
  new URL('../../../../../shared/refdata/llmservingsim/v0/', import.meta.url),
);
const workload = `${shared}workloads/compact/sharegpt_pulse_req50_n6_delay15_pc.csv`;
const config = (name: string): string => `${shared}evaluation/figure_7/config/${name}_config.json`;

const times = [
  { stepNs: 1_000_000, bandwidthGBps: 1000 },
  { stepNs: 25_000_000, bandwidthGBps: 16 },
];

describe.skipIf(!existsSync(workload))('figure 7 (needs ../shared)', () => {
  const requests = async (): Promise<Request[]> => [...(await readWorkload(workload))];

  it.each(times)('one instance: 21264 of 82645 prompt tokens, %o', async (fixed) => {
    const cluster = loadCluster(config('SD+PC'), { flags: { max_num_batched_tokens: 2048 } });
    const run = await runFixed({ cluster, requests: await requests(), times: fixed });
    const { kv } = run.engines[0];
    expect([kv.hitTokens, kv.queryTokens]).toEqual([21264, 82645]);
    expect(kv.pool.usedBlocks).toBe(0);
  });

  it.each(times)('two instances share a host pool of 256-token chunks, %o', async (fixed) => {
    for (const load of ['async', 'blocking'] as const) {
      const cluster = loadCluster(config('MD+PC+PS'), {
        flags: { max_num_batched_tokens: 2048 },
        kvTiers: [{ tier: 'host', shared: true, chunk_tokens: 256, load, save: 'all' }],
      });
      const run = await runFixed({ cluster, requests: await requests(), times: fixed });
      const device = run.engines.map(({ kv }) => [kv.hitTokens, kv.queryTokens]);
      expect(device).toEqual([
        [4240, 39877],
        [5840, 42768],
      ]);
      const pool = run.tiers.latest().find((row) => row.pool === 'node0/host');
      expect(pool).toMatchObject({ entries: 420, usedBytes: 13440 * 2 ** 20, hitTokens: 7696 });
      expect(run.states.reduce((sum, state) => sum + state.tierHitTokens, 0)).toBe(7696);
    }
  });
});
