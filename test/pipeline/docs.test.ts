/**
 * Goal: what the documentation shows works as shown. Method: the shell blocks of docs/pipelines.md and
 * the pipeline of the README, verbatim, in order, in a folder that looks like the project's root. A
 * block behind `<!-- needs: x -->` is skipped, visibly, where x is absent; `<!-- prints: regex -->`
 * says what it writes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { has, isBuilt, root, shell } from './commands.js';

interface Block {
  readonly title: string;
  readonly text: string;
  readonly missing: readonly string[];
  readonly prints: RegExp;
}

const always = ['jq', 'bash', 'awk', 'split', 'xargs'];

function blocksOf(path: string): Block[] {
  const blocks: Block[] = [];
  let title = '';
  let needs: string[] = [];
  let prints = /^/;
  let lines: string[] | undefined;
  for (const line of readFileSync(join(root, path), 'utf8').split('\n')) {
    if (lines !== undefined) {
      if (line !== '```') {
        lines.push(line);
        continue;
      }
      const missing = [...always, ...needs].filter((need) => !available(need));
      blocks.push({ title, text: lines.join('\n'), missing, prints });
      lines = undefined;
      needs = [];
      prints = /^/;
    } else if (line === '```sh') lines = [];
    else if (line.startsWith('## ')) title = line.slice(3);
    else if (line.startsWith('<!-- prints: ')) prints = new RegExp(line.slice(13, -4));
    else if (line.startsWith('<!-- needs: ')) needs = line.slice(12, -4).split(' ');
  }
  return blocks;
}

function available(need: string): boolean {
  if (!need.startsWith('module:')) return has(need);
  return spawnSync('python3', ['-c', `import ${need.slice(7)}`]).status === 0;
}

let place = '';

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'astrolabe-docs-'));
  for (const name of ['cluster_config', 'node_modules', 'packages', 'profiles', 'tools']) {
    symlinkSync(join(root, name), join(place, name));
  }
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

const pipelines = blocksOf('docs/pipelines.md').filter(({ text }) => !text.startsWith('export '));
const readme = blocksOf('README.md').filter(({ title }) =>
  ['Your own run', 'A pipeline'].includes(title),
);

describe.skipIf(!isBuilt)('documented pipelines (need a build)', () => {
  for (const [page, blocks] of Object.entries({ 'pipelines.md': pipelines, 'README.md': readme })) {
    blocks.forEach(({ title, text, missing, prints }, index) => {
      const needs = missing.length === 0 ? '' : ` (needs ${missing.join(', ')})`;
      test.skipIf(missing.length > 0)(
        `${page} ${title}, block ${index + 1}${needs}`,
        async () => {
          const outcome = await shell(text, { cwd: place });
          // What npx says about its user's own configuration is not ours.
          expect(outcome.stderr.replace(/^npm warn .*\n/gm, '')).toBe('');
          expect(outcome.code).toBe(0);
          expect(outcome.stdout.toString().trimEnd()).toMatch(prints);
        },
        180_000,
      );
    });
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
