/**
 * Goal: whatever a cluster file or a flag switches on reaches stages in other processes too. Method:
 * every shipped cluster that graphs or machine know of, and a run with many flags, in one process and through pipes: equal results.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contents, inFolder, isBuilt, root, run } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

/** What these switch on is the loop's own business, or is among the scenarios. */
const loopOnly = /^(rtx|tp2\.|two-instances|power\.|priority|speculative|kv-host)/;
const clusters = readdirSync(join(root, 'cluster_config')).filter(
  (name) => name.endsWith('.json') && !loopOnly.test(name),
);

async function bothWays(folder: string, flags: readonly string[]): Promise<void> {
  const serve = (name: string, more: readonly string[]) =>
    run('serving-loop', ['--quiet', ...flags, '--output', join(folder, name), ...more]);
  const [inside, piped] = await Promise.all([
    serve('inside', []),
    serve('piped', ['--carrier', 'pipe']),
  ]);
  expect(inside).toMatchObject({ code: 0, stderr: '' });
  expect(piped).toMatchObject({ code: 0, stderr: '' });
  expect(contents(join(folder, 'piped'))).toEqual(contents(join(folder, 'inside')));
}

describe.skipIf(!isBuilt)('pipes and one process agree (need a build)', () => {
  test.each(clusters)('on %s', (name) =>
    inFolder((folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 3 });
      return bothWays(folder, [...flags, '--cluster-config', join(root, 'cluster_config', name)]);
    }),
  );

  test('with flags', () =>
    inFolder((folder) => {
      const flags = writeScenario(folder, { ...scenarios[0], requests: 10 });
      return bothWays(folder, [
        ...[...flags, '--max-num-seqs', '3', '--max-num-batched-tokens', '128'],
        ...['--kv-tier', 'host', '--speculative-tokens', '2', '--eos-share', '0.2', '--seed', '7'],
        ...['--host-model', 'vllm', '--kv-blocks', '400', '--calibration', 'none'],
      ]);
    }));
});
