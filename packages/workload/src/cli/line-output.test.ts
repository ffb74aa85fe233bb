/** Goal: a file is written whole, or nothing is left of it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { withLineOutput } from './line-output.js';

const folder = mkdtempSync(join(tmpdir(), 'line-output-'));
const path = join(folder, 'a.ndjson');
afterAll(() => rmSync(folder, { recursive: true }));

test('a failure before the file is even open leaves nothing', async () => {
  const failing = withLineOutput(path, () => Promise.reject(new Error('at once')));
  await expect(failing).rejects.toThrow('at once');
  await setTimeout(50);
  expect(readdirSync(folder)).toEqual([]);
});

test('a folder in the place of the file is named', async () => {
  await expect(withLineOutput(folder, async () => {})).rejects.toThrow('is a directory');
});

test('more lines than the stream holds at once', async () => {
  const text = 'x'.repeat(999);
  await withLineOutput(path, async (line) => {
    for (let i = 0; i < 2000; i++) await line(text);
  });
  expect(readFileSync(path, 'utf8')).toBe(`${text}\n`.repeat(2000));
});
