/** Goal: a folder holds all results of a run or none. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ServingOptions } from './options.js';
import { checkRequestsOutput, ResultFolder } from './result-folder.js';
import type { Served } from './serve.js';

const place = mkdtempSync(join(tmpdir(), 'results-'));
afterAll(() => rmSync(place, { recursive: true }));

test('a file that cannot be written takes the others with it', () => {
  const folder = new ResultFolder(place);
  const served = {
    results: [],
    run: { series: { intervals: [] } },
    summary: {
      toJSON: () => {
        throw new Error('disk full');
      },
    },
  } as unknown as Served;
  expect(() => folder.commit(served, {} as ServingOptions)).toThrow('disk full');
  expect(readdirSync(place)).toEqual([]);
});

test('formats that are not written are refused by name', () => {
  for (const path of [undefined, '-', 'a.csv', 'b/a.arrow', 'a.ndjson', '/dev/stdout']) {
    checkRequestsOutput(path);
  }
  expect(() => checkRequestsOutput('a.parquet')).toThrow(
    '--requests-output a.parquet: unknown format ".parquet", expected one of .csv, .ndjson, .jsonl, .arrow',
  );
});
