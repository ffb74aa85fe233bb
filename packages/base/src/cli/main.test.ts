/** Goal: a message that quotes input cannot steer the terminal; its line breaks stay. */
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { UserError } from '../errors.js';
import { runMain } from './main.js';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

test('control characters of a message are escaped', async () => {
  let written = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += text;
    return true;
  });
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (input) => {
      written = '';
      await runMain('tool', () => {
        throw new UserError(`\u001b[2J\0${input}`, { at: 'a.csv:1' });
      });
      expect(written).toMatch(/^tool: a\.csv:1: \\u001b\[2J\\u0000/);
      expect(written).not.toMatch(/(?![\t\n])\p{Cc}/u);
      expect(written.split('\n').length).toBe(input.split('\n').length + 1);
    }),
    { seed: 1, numRuns: 100 },
  );
  expect(process.exitCode).toBe(2);
});
