/** Goal: a summary that a hand changed, or of another version, is refused with its place. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatSummary } from '@astrolabe/serving-loop';
import { afterAll, expect, test } from 'vitest';
import { exampleSummary } from '../example-summary.test-helper.js';
import { readSummary } from './summary-command.js';

const folder = mkdtempSync(join(tmpdir(), 'summary-'));
const path = join(folder, 'summary.json');
afterAll(() => rmSync(folder, { recursive: true }));

function read(summary: unknown): ReturnType<typeof readSummary> {
  writeFileSync(path, JSON.stringify(summary));
  return readSummary(path);
}

test('what a summary lacks or has in another form is named', () => {
  expect(formatSummary(read(exampleSummary))).toContain('2 of 3 requests finished');
  const { trust, ...older } = exampleSummary;
  const [instance] = exampleSummary.instances;
  for (const [changed, says] of [
    [null, 'expected object, received null'],
    [older, 'trust: missing, expected object'],
    [{ ...exampleSummary, makespanS: '4' }, 'makespanS: expected number, received string'],
    [{ ...exampleSummary, ttftMs: { mean: 1 } }, 'ttftMs.count: missing, expected number'],
    [
      { ...exampleSummary, trust: { ...trust, extrapolatedShare: 1e308 } },
      'trust.extrapolatedShare: expected number to be <=1, got 1e+308',
    ],
    [{ ...exampleSummary, makespan: 4 }, 'unknown key "makespan"'],
    [
      { ...exampleSummary, instances: [{ ...instance, kvBlocks: -1 }] },
      'instances[0].kvBlocks: expected number to be >=0, got -1',
    ],
    [
      { ...exampleSummary, trust: { ...trust, basis: 'guessed' } },
      'trust.basis: expected one of "fitted"|"partly fitted"|"predicted", got "guessed"',
    ],
  ] as const) {
    expect(() => read(changed)).toThrow(`${path}: ${says}`);
  }
});
