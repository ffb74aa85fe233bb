/** Words of a command line are instances, or refused with what was expected. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { sheetInstances } from './instance-argument.js';

const folder = mkdtempSync(join(tmpdir(), 'instance-argument-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('degrees, role and count, in any order', () => {
  const [first, second, ...others] = sheetInstances(['H200:decode:tp=4:count=2:ep=2:pp=3']);
  expect(first).toMatchObject({ tp: 4, pp: 3, ep: 2, role: 'decode', device: { name: 'H200' } });
  expect(second).toEqual(first);
  expect(others).toEqual([]);
  expect(sheetInstances(['A100', 'H200:prefill'])).toMatchObject([
    { tp: 1, pp: 1, ep: undefined, role: undefined, device: { name: 'A100' } },
    { role: 'prefill', device: { name: 'H200' } },
  ]);
});

test.each([
  ['H200:tp=2:tp=4', 'H200:tp=2:tp=4: tp twice'],
  ['H200:prefill:decode', 'H200:prefill:decode: two roles'],
  ['H200:tp=0', '"tp=0" is no option'],
  ['H200:dp=2', '"dp=2" is no option'],
  ['H200:count=10000', '"count=10000" is no option'],
  ['H200:', '"" is no option'],
  ['Z9', 'no data sheet for device "Z9"'],
])('refuses %s', (word, says) => {
  expect(() => sheetInstances(['A100', word])).toThrow(says);
});

test('refuses two sheets of one name, not the same one twice', () => {
  const path = join(folder, 'mine.json');
  const { device } = sheetInstances(['H200'])[0];
  writeFileSync(path, JSON.stringify(device));
  expect(sheetInstances([path, path])).toHaveLength(2);
  expect(() => sheetInstances(['H200', path])).toThrow(`H200 and ${path} are both called H200`);
});
