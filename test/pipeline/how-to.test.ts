/**
 * Goal: pages of commands work as written. Method: their blocks verbatim and in
 * order, in a folder that looks like the project's root. `<!-- needs: x -->` skips a block, visibly,
 * where x is absent (`bundles` is ../shared's copy of LLMServingSim's profiles, `module:torch` a Python
 * that has PyTorch); `<!-- prints: regex -->` says what a block writes. Blocks without a language are
 * for machines that a test does not have.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { has, isBuilt, launch, root } from './commands.js';

const bundles = join(root, '../shared/refdata/llmservingsim/v1/profiles');
/** A PyTorch of the distribution may hide behind another python3 on the path. */
const python = ['python3', '/usr/bin/python3'].find(
  (name) => spawnSync(name, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
);

interface Block {
  readonly title: string;
  readonly text: string;
  readonly missing: readonly string[];
  readonly prints: RegExp;
}

function isMissing(need: string): boolean {
  if (need === 'bundles') return !existsSync(bundles);
  if (need === 'module:torch') return python === undefined;
  return !has(need);
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, 'docs', page), 'utf8');
  const pattern = /^## (.*)$|^<!-- (needs|prints): (.*) -->$|^```(?:sh|bash)\n([\s\S]*?)\n```$/gm;
  const blocks: Block[] = [];
  let [title, needs, prints] = ['Start', [] as string[], /^/];
  for (const [, heading, kind, value, code] of text.matchAll(pattern)) {
    if (heading !== undefined) title = heading;
    else if (kind === 'needs') needs = value.split(' ');
    else if (kind === 'prints') prints = new RegExp(value);
    else {
      const missing = ['jq', 'bash', 'awk', ...needs].filter(isMissing);
      blocks.push({ title, text: code, missing, prints });
      [needs, prints] = [[], /^/];
    }
  }
  return blocks;
}

let place = '';
let path = '';

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'astrolabe-how-to-'));
  for (const name of ['cluster_config', 'node_modules', 'packages', 'profiles', 'tools']) {
    symlinkSync(join(root, name), join(place, name));
  }
  if (existsSync(bundles)) symlinkSync(bundles, join(place, 'bundles'));
  path = process.env.PATH ?? '';
  if (python?.startsWith('/') === true) {
    mkdirSync(join(place, 'bin'));
    symlinkSync(python, join(place, 'bin/python3'));
    path = `${join(place, 'bin')}:${path}`;
  }
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

/** npx takes a second to find what lies in node_modules/.bin. */
function direct(text: string): string {
  return text.replaceAll('npx ', './node_modules/.bin/');
}

describe.skipIf(!isBuilt)('how-to pages (need a build)', () => {
  for (const page of [
    'add-your-hardware.md',
    'add-your-model.md',
    'compare-devices.md',
    'chakra.md',
    'system-simulator.md',
  ]) {
    blocksOf(page).forEach(({ title, text, missing, prints }, index) => {
      const needs = missing.length === 0 ? '' : ` (needs ${missing.join(', ')})`;
      test.skipIf(missing.length > 0)(
        `${page} ${title}, block ${index + 1}${needs}`,
        async () => {
          const options = { cwd: place, env: { PATH: path } };
          const script = ['-euo', 'pipefail', '-c', direct(text)];
          const outcome = await launch('bash', script, options);
          // serving-loop's summary is for people, on stderr; an error is not.
          expect(outcome.code, outcome.stderr).toBe(0);
          expect(outcome.stdout.toString().trimEnd()).toMatch(prints);
        },
        180_000,
      );
    });
  }

  test('every route is there and asks for nothing that is not named', () => {
    const hardware = blocksOf('add-your-hardware.md');
    expect(new Set(hardware.map(({ title }) => title)).size).toBe(6);
    expect(hardware.filter(({ missing }) => missing.length === 0).length).toBeGreaterThanOrEqual(5);
    expect(blocksOf('add-your-model.md').length).toBe(5);
  });
});
