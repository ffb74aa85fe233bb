/**
 * Goal: `--kv-cache-dtype` is the cluster file's key, also for a trace generator in another process.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

describe.skipIf(!isBuilt)('--kv-cache-dtype (needs a build)', () => {
  test('as a flag, behind a pipe and as a key it is the same run', () =>
    inFolder(async (folder) => {
      const inputs = writeScenario(folder, scenarios.find(({ name }) => name === 'TP')!);
      const clusterFile = inputs[inputs.indexOf('--cluster-config') + 1];
      const requestsOf = async (flags: readonly string[]): Promise<string> => {
        const output = join(folder, 'requests.csv');
        const outcome = await run('serving-loop', [
          ...['--quiet', '--requests-output', output],
          ...[...inputs, ...flags],
        ]);
        expect(outcome).toMatchObject({ code: 0, stderr: '' });
        return readFileSync(output, 'utf8');
      };
      const plain = await requestsOf([]);
      const flag = ['--kv-cache-dtype', 'fp8'];
      const flagged = await requestsOf(flag);
      expect(flagged).not.toBe(plain);
      expect(await requestsOf([...flag, '--carrier', 'pipe'])).toBe(flagged);

      const cluster = JSON.parse(readFileSync(clusterFile, 'utf8'));
      cluster.nodes[0].instances[0].kv_cache_dtype = 'fp8';
      writeFileSync(clusterFile, JSON.stringify(cluster));
      expect(await requestsOf([])).toBe(flagged);
    }));
});
