/** Every shipped cluster file serves a small workload to the end with the shipped profiles. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { requestResults } from '@astrolabe/serving-loop';
import { loadExpertRouters } from '@astrolabe/trace-generator/cli';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { InProcess, runOn } from '../support/in-process.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const files = readdirSync(`${root}cluster_config`).filter((name) => name.endsWith('.json'));

const requests: readonly Request[] = [200, 700, 40, 1500].map((promptTokens, id) => ({
  id,
  arrivalNs: id * 5e6,
  promptTokens,
  outputTokens: 3 + id,
}));

describe('shipped clusters', () => {
  it.each(files)('%s', async (name) => {
    const cluster = loadCluster(`${root}cluster_config/${name}`);
    const profiles = await openProfiles(`${root}profiles`);
    const backend = new InProcess(
      cluster,
      ({ hardware, model, engine }) => profiles.latencyModel(hardware, model.name, engine.dtype),
      {
        calibration: loadCalibration(undefined),
        expertRouterFor: await loadExpertRouters(cluster),
      },
    );
    const run = await runOn(backend, { cluster, requests, routing: 'least-loaded' });
    for (const row of requestResults(run)) expect(row.status).toBe('finished');
    expect(backend.machine.stuck().stuck).toBe(false);
  });
});
