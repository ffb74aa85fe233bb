/**
 * Goals: an error in a JSON file names the place of the error; packed files are read whole or refused.
 * Method: a token that JSON lacks at a random place of a random file; files cut anywhere.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type Line, openInput, readJson, readLines } from './io.js';

const folder = mkdtempSync(join(tmpdir(), 'io-'));
const path = join(folder, 'a.json');
afterAll(() => rmSync(folder, { recursive: true }));

function failure(text: string): string {
  writeFileSync(path, text);
  try {
    readJson(path);
  } catch (error) {
    return (error as Error).message.slice(path.length);
  }
  return 'did not fail';
}

test('a wrong token is found by line and column', () => {
  const values = fc.array(fc.nat(), { minLength: 12, maxLength: 40 });
  fc.assert(
    fc.property(values, fc.nat(), fc.constantFrom('NaN', 'x', "'a'", '-'), (numbers, at, token) => {
      const line = 6 + (at % (numbers.length - 6));
      const rows = numbers.map((value, i) => `  "k${i}": ${i === line ? token : value}`);
      const text = `{\n${rows.join(',\n')}\n}\n`;
      const column = `  "k${line}": `.length + 1 + (token === '-' ? 1 : 0);
      expect(failure(text)).toMatch(new RegExp(`^:${line + 2}:${column}: not valid JSON: `));
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('a text cut short is named by its last line, a short one is quoted', () => {
  expect(failure('{\n"a": 1,\n"b": [')).toBe(':3: not valid JSON: Unexpected end of JSON input');
  expect(failure('nope')).toBe(`: not valid JSON: Unexpected token 'o', "nope"`);
});

test('a gzip file is read whole, or named when it is cut short or none', async () => {
  const packed = join(folder, 'a.gz');
  const read = async (): Promise<number[]> => {
    const bytes: number[] = [];
    for await (const chunk of openInput(packed)) bytes.push(...(chunk as Uint8Array));
    return bytes;
  };
  const text = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(text, fc.double({ min: 0, max: 1, noNaN: true }), async (bytes, share) => {
      const whole = gzipSync(bytes);
      writeFileSync(packed, whole);
      expect(await read()).toEqual([...bytes]);
      const length = Math.floor(1 + share * (whole.length - 2));
      writeFileSync(packed, whole.subarray(0, length));
      await expect(read()).rejects.toThrow(`${packed}: not a complete gzip file`);
    }),
    { seed: 1, numRuns: 50 },
  );
  writeFileSync(packed, 'text');
  await expect(read()).rejects.toThrow(`${packed}: not a complete gzip file`);
  rmSync(packed);
  await expect(read()).rejects.toThrow(`${packed}: no such file`);
});

test('lines keep their numbers wherever the chunks end', async () => {
  const lines = fc.array(fc.constantFrom('', 'a', 'wörd', ' ', '{"b": 1}\r'), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(lines, fc.integer({ min: 1, max: 5 }), async (texts, size) => {
      const bytes = Buffer.from(texts.join('\n'));
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const read: Line[] = [];
      for await (const line of readLines(Readable.from(chunks), 'a')) read.push(line);
      const expected = texts.map((text, i) => ({ text, number: i + 1 }));
      expect(read).toEqual(expected.filter(({ text }) => text.trim() !== ''));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('a line without an end is refused, not collected for ever', async () => {
  const chunk = Buffer.alloc(100, 'a');
  let chunks = 0;
  const endless = Readable.from(
    (function* () {
      yield Buffer.from('{}\n');
      for (; ; chunks++) yield chunk;
    })(),
  );
  const read = async (): Promise<void> => {
    for await (const { number } of readLines(endless, 'a.ndjson', 1000)) expect(number).toBe(1);
  };
  await expect(read()).rejects.toThrow('a.ndjson:2: a line of more than 1000 characters');
  expect(chunks).toBeLessThan(20);
});
