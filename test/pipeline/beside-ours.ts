/** One scenario twice: on our own machine, and with flags that put another in its place. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Completion } from '@astrolabe/system-simulator';
import { expect } from 'vitest';
import { run } from './commands.js';
import { type Scenario, writeScenario } from './scenarios.js';

export async function besideOurs(
  folder: string,
  scenario: Scenario,
  flags: readonly string[],
): Promise<{ expected: Completion[]; found: Completion[]; theirs: string }> {
  const inputs = ['--quiet', ...writeScenario(folder, scenario), '--output'];
  const ours = join(folder, 'ours');
  const theirs = join(folder, 'theirs');
  expect(await run('serving-loop', [...inputs, ours])).toMatchObject({ code: 0 });
  const outcome = await run('serving-loop', [...inputs, theirs, ...flags]);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  return { expected: completions(ours), found: completions(theirs), theirs };
}

function completions(folder: string): Completion[] {
  const text = readFileSync(join(folder, 'completions.ndjson'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}
