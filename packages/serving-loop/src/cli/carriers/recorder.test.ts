/** Goal: what a kept run says of its stages is what a recorder wrote, or is refused by name. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LookupCounts } from '@astrolabe/profile';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { readLookups, readStages } from './recorder.js';

const folder = mkdtempSync(join(tmpdir(), 'recorder-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('counts are read, or refused when they cannot be', () => {
  const path = join(folder, 'lookups.json');
  expect(readLookups(path)).toBeUndefined();
  const count = fc.constantFrom<unknown>(0, 3, 8, -1, 0.5, '3', null, undefined);
  fc.assert(
    fc.property(count, count, (total, extrapolated) => {
      const counts = { total, extrapolated, profiles: [] };
      writeFileSync(path, JSON.stringify(counts));
      const good = [total, extrapolated].every((value) => [0, 3, 8].includes(value as number));
      if (good && (extrapolated as number) <= (total as number)) {
        expect(readLookups(path)).toEqual(counts satisfies Record<keyof LookupCounts, unknown>);
      } else expect(() => readLookups(path)).toThrow(/lookups\.json: .*expected/);
    }),
    { seed: 1, numRuns: 200 },
  );
  writeFileSync(path, '{');
  expect(() => readLookups(path)).toThrow(/lookups\.json:1:2: not valid JSON/);
});

test('a report on stages is read, or refused when it cannot be', () => {
  const path = join(folder, 'stages.json');
  expect(() => readStages(path)).toThrow(/stages\.json: no such file/);
  const lookups = { total: 3, extrapolated: 1, profiles: [] };
  const report = { lookups, foreign: { systemSimulator: 'mine --fast' } };
  writeFileSync(path, JSON.stringify(report));
  expect(readStages(path)).toEqual(report);
  writeFileSync(path, JSON.stringify({ foreign: { systemSimulator: 3 } }));
  expect(() => readStages(path)).toThrow(/stages\.json: foreign\.systemSimulator: expected string/);
});
