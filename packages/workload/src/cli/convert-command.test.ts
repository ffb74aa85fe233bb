/** Goals: what convert leaves out is counted and named, and the rest is whole. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCommand } from '@astrolabe/base/cli';
import { afterAll, expect, test } from 'vitest';
import { addConvert } from './convert-command.js';

const folder = mkdtempSync(join(tmpdir(), 'convert-'));
afterAll(() => rmSync(folder, { recursive: true }));
const output = join(folder, 'out.ndjson');

async function convert(text: string, ...flags: string[]): Promise<Record<string, unknown>[]> {
  const input = join(folder, 'in.ndjson');
  writeFileSync(input, text);
  const program = makeCommand('workload', '', []);
  addConvert(program);
  const args = ['convert', input, '--quiet', '-o', output, ...flags];
  await program.parseAsync(args, { from: 'user' });
  const lines = readFileSync(output, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

const request = (id: string, arrivalNs: number, promptTokens: number): string =>
  `${JSON.stringify({ id, arrivalNs, promptTokens, outputTokens: 1 })}\n`;

test('when every request is too long, the flag that dropped them is named', async () => {
  const text = request('a', 5, 40) + request('b', 6, 50);
  await expect(convert(text, '--max-model-len', '1')).rejects.toThrow(
    '--max-model-len: nothing left: all 2 requests have more than 1 tokens, prompt and output together',
  );
  expect(existsSync(output)).toBe(false);
  await expect(convert('\n', '--max-model-len', '1')).rejects.toThrow(/in\.ndjson: is empty$/);
});

test('the first arrival is 0 also when what came first is dropped', async () => {
  const text = request('a', 5, 40) + request('b', 7, 20) + request('c', 9, 20);
  const kept = await convert(text, '--max-model-len', '30', '--start-at-zero');
  expect(kept.map(({ id, arrivalNs }) => [id, arrivalNs])).toEqual([
    ['b', 0],
    ['c', 2],
  ]);
});
