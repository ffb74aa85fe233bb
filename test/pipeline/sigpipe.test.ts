/**
 * Goal: `... | head -1` ends every command quietly, also one that has megabytes left to write. Method:
 * the real commands behind a reader that leaves after one line, exit code of the writer taken.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isBuilt, run, shell } from './commands.js';
import { scenarios, writeScenario } from './scenarios.js';

let folder = '';
let cluster = '';

beforeAll(async () => {
  if (!isBuilt) return;
  folder = mkdtempSync(join(tmpdir(), 'astrolabe-sigpipe-'));
  const inputs = writeScenario(folder, { ...scenarios[0], requests: 20 });
  cluster = `--cluster-config ${folder}/cluster.json`;
  const done = await run('serving-loop', ['--quiet', ...inputs, '--keep', join(folder, 'kept')]);
  expect(done).toMatchObject({ code: 0, stderr: '' });
});

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

/** FOLDER and CLUSTER stand for the recorded run's. */
const writers: readonly (readonly [name: string, line: string])[] = [
  ['workload generate', 'workload generate --requests 50000'],
  [
    'serving-loop, requests',
    'serving-loop CLUSTER --workload FOLDER/workload.ndjson --quiet --requests-output -',
  ],
  ['serving-loop, summary', 'serving-loop CLUSTER --workload FOLDER/workload.ndjson'],
  ['trace-generator', 'trace-generator CLUSTER FOLDER/kept/trace-generator.in.ndjson'],
  ['system-simulator', 'system-simulator CLUSTER FOLDER/kept/system-simulator.in.et'],
  ['chakra dump', 'chakra dump FOLDER/kept/system-simulator.in.et'],
  ['chakra stat', 'chakra stat FOLDER/kept/system-simulator.in.et'],
  ['help', 'serving-loop --help'],
];

describe.skipIf(!isBuilt)('readers that leave (needs a build)', () => {
  test.each(writers)('%s', async (_, line) => {
    const command = line.replaceAll('FOLDER', folder).replaceAll('CLUSTER', cluster);
    const outcome = await shell(`${command} | head -c 20 >/dev/null; echo "\${PIPESTATUS[0]}"`);
    expect(outcome.stderr).toBe('');
    expect(outcome.stdout.toString()).toBe('0\n');
  });
});
