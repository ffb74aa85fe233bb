/** Goal: a file gets all its bytes, also where the system takes a few at a time, or the error. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test, vi } from 'vitest';
import { writeFully } from './whole-file.js';

const mostAtOnce = 3;

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const writeSync = (descriptor: number, bytes: Uint8Array, from = 0): number =>
    fs.writeSync(descriptor, bytes, from, Math.min(mostAtOnce, bytes.length - from));
  return { ...fs, writeSync };
});

const folder = mkdtempSync(join(tmpdir(), 'write-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('short writes are continued', () => {
  const path = join(folder, 'a');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      const descriptor = openSync(path, 'w');
      writeFully(descriptor, bytes, path);
      closeSync(descriptor);
      expect(Uint8Array.from(readFileSync(path))).toEqual(bytes);
    }),
    { seed: 1, numRuns: 50 },
  );
});

test.runIf(process.platform === 'linux')('a full disk names the file', () => {
  const descriptor = openSync('/dev/full', 'w');
  expect(() => writeFully(descriptor, Uint8Array.of(1), 'a.csv')).toThrow(
    'a.csv: no space left on the device',
  );
  closeSync(descriptor);
});
