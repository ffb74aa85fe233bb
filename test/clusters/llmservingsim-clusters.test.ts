/**
 * Every cluster file of LLMServingSim, both generations, serves a small workload to the end, or is
 * refused with a true reason. Among them are the shapes that hang there: mixed TP degrees, several
 * data-parallel groups, disaggregation, DP with TP and PP.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCluster } from '@astrolabe/config/cli';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { requestResults } from '@astrolabe/serving-loop';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { InProcess, runOn } from '../support/in-process.js';

const root = fileURLToPath(new URL('../../../shared/refdata/llmservingsim', import.meta.url));

/** Two at once, two that share a prefix, one that comes late. */
const requests: readonly Request[] = [
  { id: 0, arrivalNs: 0, promptTokens: 300, outputTokens: 4 },
  { id: 1, arrivalNs: 0, promptTokens: 40, outputTokens: 8 },
  { id: 2, arrivalNs: 2e7, promptTokens: 320, outputTokens: 2, prefix: { of: 0, tokens: 300 } },
  { id: 3, arrivalNs: 3e8, promptTokens: 10, outputTokens: 1 },
];

/** What the profiles that come with the files lack. */
const refusals: Record<string, RegExp> = {
  'v1/rtx4090_tp2_instance.json': /no measurements at TP 2/,
  'v1/single_node_single_instance_H100.json': /no profile for hardware "H100"/,
};

/** A suite that is skipped is still collected: without the folder it has one test to skip. */
function clusterFiles(generation: string): readonly string[] {
  if (!existsSync(root)) return ['none'];
  return readdirSync(`${root}/${generation}`, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(cluster_configs|evaluation.*config)\/[^/]*\.json$/.test(path))
    .sort();
}

describe.skipIf(!existsSync(root))('LLMServingSim cluster files (needs ../shared)', () => {
  for (const generation of ['v0', 'v1']) {
    const files = clusterFiles(generation);
    let profiles: Awaited<ReturnType<typeof openProfiles>> | undefined;
    it.each(files)(`${generation}: %s`, async (file) => {
      const path = `${root}/${generation}/${file}`;
      profiles ??= await openProfiles(`${root}/${generation}/profiles`);
      const opened = profiles;
      const cluster = loadCluster(path);
      const refused = refusals[`${generation}/${basename(path)}`];
      const open = (): InProcess =>
        new InProcess(cluster, ({ hardware, model, engine }) =>
          opened.latencyModel(hardware, model.name, engine.dtype),
        );
      if (refused !== undefined) {
        expect(open).toThrow(refused);
        return;
      }
      const run = await runOn(open(), { cluster, requests });
      for (const row of requestResults(run)) expect(row.status).toBe('finished');
      for (const { kv } of run.engines) expect(kv.pool.usedBlocks).toBe(0);
    });
  }
});
