/**
 * Goal: the pages "Add your hardware" and "Add your model" work as written. Method: their `sh` blocks,
 * one after the other, in a directory that looks like the project's root.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const isBuilt =
  existsSync(join(root, 'packages/profiler-ingest/dist/cli.js')) &&
  existsSync(join(root, 'packages/serving-loop/dist/cli.js'));
const folder = mkdtempSync(join(tmpdir(), 'astrolabe-docs-'));

beforeAll(() => {
  for (const name of ['cluster_config', 'profiles', 'packages', 'node_modules', 'package.json']) {
    symlinkSync(join(root, name), join(folder, name));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(page: string): string {
  const text = readFileSync(join(root, 'docs', page), 'utf8');
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]);
  // npx takes a second to find what lies in node_modules/.bin.
  const script = blocks.join('\n').replaceAll('npx ', './node_modules/.bin/');
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

describe.skipIf(!isBuilt)('docs pages (need a build)', () => {
  test('Add your hardware', () => {
    const output = run('add-your-hardware.md');
    expect(output).toContain('roofline of MyGPU');
    expect(output).toContain('missing operators  none');
    const summary = JSON.parse(readFileSync(join(folder, 'out/my-run/summary.json'), 'utf8'));
    expect(JSON.stringify(summary)).toContain('tpot');
  });

  test('Add your model', () => {
    expect(run('add-your-model.md')).toContain('missing operators  none');
  });
});
