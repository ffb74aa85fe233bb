/**
 * Goal: pages of commands work as written. Method: their blocks verbatim and in order, but for `npx`,
 * which takes a second to find what lies in node_modules/.bin.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isBuilt, launch } from './commands.js';
import { blocksOf, folderLikeRoot } from './shell-blocks.js';

/** A PyTorch of the distribution may hide behind another python3 on the path. */
const python = ['python3', '/usr/bin/python3'].find(
  (name) => spawnSync(name, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
);
const pages = [
  'add-your-hardware.md',
  'add-your-model.md',
  'compare-devices.md',
  'plan-capacity.md',
  'chakra.md',
  'system-simulator.md',
];
const blocks = pages.map((page) => blocksOf(`docs/${page}`, python));

let place = '';
let path = '';

beforeAll(() => {
  place = folderLikeRoot();
  path = process.env.PATH ?? '';
  if (python?.startsWith('/') === true) {
    mkdirSync(join(place, 'bin'));
    symlinkSync(python, join(place, 'bin/python3'));
    path = `${join(place, 'bin')}:${path}`;
  }
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

describe.skipIf(!isBuilt)('how-to pages (need a build)', () => {
  for (const { name, text, missing, prints } of blocks.flat()) {
    test.skipIf(missing.length > 0)(
      name,
      async () => {
        const options = { cwd: place, env: { PATH: path } };
        const script = ['-euo', 'pipefail', '-c', text.replaceAll('npx ', './node_modules/.bin/')];
        const outcome = await launch('bash', script, options);
        // serving-loop's summary is for people, on stderr; an error is not.
        expect(outcome.code, outcome.stderr).toBe(0);
        expect(outcome.stdout.toString().trimEnd()).toMatch(prints);
      },
      180_000,
    );
  }

  test('every route is there and asks for nothing that is not named', () => {
    const [hardware, model] = blocks;
    expect(new Set(hardware.map(({ title }) => title)).size).toBe(6);
    expect(hardware.filter(({ missing }) => missing.length === 0).length).toBeGreaterThanOrEqual(5);
    expect(model.length).toBe(6);
  });
});
