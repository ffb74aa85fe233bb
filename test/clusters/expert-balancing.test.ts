/** Expert load balancing end to end, on the shipped example with the shipped profile. */
import { fileURLToPath } from 'node:url';
import type { Cluster } from '@astrolabe/config';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { requestResults } from '@astrolabe/serving-loop';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { InProcess, runOn } from '../support/in-process.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const balanced = loadCluster(`${root}cluster_config/moe-dp4-ep4-eplb.json`);
const profiles = await openProfiles(`${root}profiles`);

function without(cluster: Cluster): Cluster {
  return {
    ...cluster,
    instances: cluster.instances.map(({ experts, ...rest }) => {
      if (experts === undefined) return rest;
      const { eplb: _, ...others } = experts;
      return { ...rest, experts: others };
    }),
  };
}

async function serve(cluster: Cluster, requests: readonly Request[]) {
  const backend = new InProcess(
    cluster,
    ({ hardware, model, engine }) => profiles.latencyModel(hardware, model.name, engine.dtype),
    { calibration: loadCalibration(undefined) },
  );
  const run = await runOn(backend, { cluster, requests });
  const rows = requestResults(run);
  for (const { status } of rows) expect(status).toBe('finished');
  const tpotMs = rows.reduce((sum, row) => sum + (row.tpotNs ?? 0), 0) / rows.length / 1e6;
  return { backend, run, tpotMs };
}

/** Long prompts and short answers: decodes wait for chunks of thousands of tokens. */
const longPrompts = Array.from({ length: 100 }, (_, id) => ({
  id,
  arrivalNs: id * 1e8,
  promptTokens: 3000 + ((id * 977) % 1000),
  outputTokens: 40 + ((id * 37) % 60),
}));

describe('expert load balancing under zipf', () => {
  it('lowers TPOT by 5 % or more where chunks are large, its exchange and replicas included', async () => {
    const plain = await serve(without(balanced), longPrompts);
    const moved = await serve(balanced, longPrompts);
    expect(moved.tpotMs).toBeLessThan(0.95 * plain.tpotMs);
  });

  it('holds the step back in which experts move, and no other', async () => {
    const requests = [0, 1, 2, 3].map((id) => ({
      id,
      arrivalNs: 0,
      promptTokens: 100,
      outputTokens: 40,
    }));
    const { backend } = await serve(balanced, requests);
    const stepNs = (wave: number): number => {
      const own = backend.completions.find(({ iteration }) => iteration === wave);
      return (own?.finishNs ?? 0) - (own?.startNs ?? 0);
    };
    // The busiest rank moves 27.48 of 33 experts of 3 x 2048 x 768 bf16 in each of 48 layers, a third
    // over each of three links of 64 GiB/s: 60.4 ms.
    expect((stepNs(16) - stepNs(15)) / 1e6).toBeCloseTo(60.4, 0);
    for (const wave of [17, 18, 30]) {
      expect(Math.abs(stepNs(wave) - stepNs(15))).toBeLessThan(0.5e6);
    }
  });
});
