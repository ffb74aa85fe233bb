/**
 * Goal: what the documentation shows works as shown. Method: the shell blocks of docs/pipelines.md and
 * the pipeline of the README, verbatim and in order.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isBuilt, root, shell } from './commands.js';
import { blocksOf, folderLikeRoot } from './shell-blocks.js';

let place = '';

beforeAll(() => {
  place = folderLikeRoot();
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

const pipelines = blocksOf('docs/pipelines.md').filter(({ text }) => !text.startsWith('export '));
const readme = blocksOf('README.md').filter(({ title }) =>
  ['Your own run', 'A pipeline'].includes(title),
);

describe.skipIf(!isBuilt)('documented pipelines (need a build)', () => {
  for (const { name, text, missing, prints } of [...pipelines, ...readme]) {
    test.skipIf(missing.length > 0)(
      name,
      async () => {
        const outcome = await shell(text, { cwd: place });
        // What npx says about its user's own configuration is not ours.
        expect(outcome.stderr.replace(/^npm warn .*\n/gm, '')).toBe('');
        expect(outcome.code).toBe(0);
        expect(outcome.stdout.toString().trimEnd()).toMatch(prints);
      },
      180_000,
    );
  }

  test('README.md shows what the first command prints', async () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const command = scripts.start.replace('npm run --silent build && ', 'npx ');
    const { stdout } = await shell(command, { cwd: place });
    const shown = /^```text\n([\s\S]*?)\n```$/m.exec(readFileSync(join(root, 'README.md'), 'utf8'));
    const lines = shown?.[1].split('\n') ?? [];
    expect(lines.length).toBeGreaterThan(3);
    expect(stdout.toString().split('\n')).toEqual(expect.arrayContaining(lines));
  }, 60_000);

  test('there are ten and more', () => {
    const titles = new Set(pipelines.map(({ title }) => title));
    expect(titles.size).toBeGreaterThanOrEqual(10);
    expect(readme.length).toBe(2);
  });
});
