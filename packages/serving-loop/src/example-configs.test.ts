/** The shipped cluster files of this package's features: each runs a workload to its end. */
import { fileURLToPath } from 'node:url';
import { loadCluster } from '@astrolabe/config/cli';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import type { RunResult } from './run-result.js';
import { summarise, summarySchema } from './summary.js';

const config = (name: string): string =>
  fileURLToPath(new URL(`../../../cluster_config/${name}.json`, import.meta.url));

/** Conversations of 600 tokens and more that come back. */
const requests = Array.from({ length: 60 }, (_, id): Request => {
  const promptTokens = 600 + (id % 20) * 40;
  const base: Request = { id, arrivalNs: id * 20_000_000, promptTokens, outputTokens: 30 };
  return id < 20 ? base : { ...base, prefix: { of: id - 20, tokens: promptTokens } };
});

async function run(name: string): Promise<RunResult> {
  const cluster = loadCluster(config(name));
  return runFixed({ cluster, requests, times: { stepNs: 12_000_000, bandwidthGBps: 20 } });
}

describe('example clusters', () => {
  it.each([
    'kv-host-shared',
    'kv-three-tiers',
    'power',
    'power-capped',
    'pim-hbm2',
    'pim-sub-batch',
    'speculative',
    'priority',
  ])('%s', async (name) => {
    const result = await run(name);
    expect(requestResults(result).every((row) => row.status === 'finished')).toBe(true);
    for (const { kv } of result.engines) expect(kv.pool.usedBlocks).toBe(0);
    const summary = summarise(result, requestResults(result), { fitted: [], lookups: undefined });
    expect(summarySchema.parse(JSON.parse(JSON.stringify(summary)))).toEqual(summary);
  });

  it('three tiers answer in turn', async () => {
    const { tiers } = await run('kv-three-tiers');
    const rows = tiers.latest().filter((row) => !row.pool.endsWith('/device'));
    expect(rows.map((row) => row.pool)).toEqual([
      'instance0/host',
      'instance1/host',
      'cluster/cxl',
      'node0/storage',
    ]);
    expect(rows.reduce((sum, row) => sum + row.hitTokens, 0)).toBeGreaterThan(0);
  });

  it('power constants change the readings and nothing else', async () => {
    const metered = await run('power');
    const plain = await runFixed({
      cluster: { ...loadCluster(config('power')), nodes: bare(loadCluster(config('power')).nodes) },
      requests,
      times: { stepNs: 12_000_000, bandwidthGBps: 20 },
    });
    expect(requestResults(plain)).toEqual(requestResults(metered));
    const context = { fitted: [], lookups: undefined };
    const { power, ...rest } = summarise(metered, requestResults(metered), context);
    expect(power?.energyJ).toBeGreaterThan(0);
    const without = summarise(plain, requestResults(plain), context);
    expect(JSON.stringify(without)).toBe(JSON.stringify(rest));
  });
});

function bare(nodes: readonly NodeOf[]): NodeOf[] {
  return nodes.map((node) => ({ ...node, power: undefined }));
}

type NodeOf = ReturnType<typeof loadCluster>['nodes'][number];
