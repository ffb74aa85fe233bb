/** Goals: a written file is whole, what is no file stays what it is, nothing is left beside it. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolder, writeFileWhole } from './whole-file.js';

const folder = mkdtempSync(join(tmpdir(), 'whole-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a file behind a link is replaced and the link stays; a device stays a device', () => {
  const target = join(folder, 'target');
  const link = join(folder, 'link');
  const device = join(folder, 'device');
  writeFileSync(target, 'old');
  symlinkSync('target', link);
  symlinkSync('/dev/null', device);
  const before = readdirSync(folder);
  writeFileWhole(link, 'new');
  expect(readFileSync(target, 'utf8')).toBe('new');
  writeFileWhole(device, 'new');
  expect(statSync(device).isCharacterDevice()).toBe(true);
  expect(readdirSync(folder)).toEqual(before);
});

test('a file where a folder must be is named', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  expect(() => writeFileWhole(join(file, 'below', 'a'), '')).toThrow();
  expect(() => writeFileWhole(folder, '')).toThrow(`${folder}: is a directory, expected a file`);
});

test('what a killed command left is removed by the next writer of the file, and nothing else', () => {
  const here = mkdtempSync(join(folder, 'leftovers-'));
  const owner = hostname()
    .replace(/[^\w-]/g, '')
    .slice(0, 40);
  const ended = spawnSync(process.execPath, ['--eval', '']).pid;
  const kept = [
    `a.csv.${owner}.${process.ppid}.tmp`,
    `b.csv.${owner}.${ended}.tmp`,
    `a.csv.${owner}.x${ended}.tmp`,
    `a.csv.other.${ended}.tmp`,
    'a.csv.tmp',
  ];
  for (const name of [...kept, `a.csv.${owner}.${ended}.tmp`])
    writeFileSync(join(here, name), 'part');
  writeFileWhole(join(here, 'a.csv'), 'whole');
  expect(readdirSync(here).sort()).toEqual(['a.csv', ...kept].sort());
});

test.skipIf(!existsSync('/proc/self'))('where no folder can be made that is said at once', () => {
  expect(() => makeFolder('/proc/no/such/folder')).toThrow('ENOENT');
});

test('folders are made down to the last, and may be there', () => {
  const path = join(folder, 'a', 'b', 'c');
  for (let i = 0; i < 2; i++) makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
});
