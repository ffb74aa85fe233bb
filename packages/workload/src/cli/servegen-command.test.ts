/** Goals: many requests are read as few are, and damaged models are refused with their place. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCommand } from '@astrolabe/base/cli';
import { afterAll, expect, test } from 'vitest';
import { addServeGen } from './servegen-command.js';

const folder = mkdtempSync(join(tmpdir(), 'servegen-'));
afterAll(() => rmSync(folder, { recursive: true }));
const lengths = { 0: { input_tokens: '{100: 1}', output_tokens: '{10: 1}' } };

async function sampled(trace: string, dataset: unknown, ...flags: string[]): Promise<number> {
  writeFileSync(join(folder, 'chunk-0-trace.csv'), trace);
  writeFileSync(join(folder, 'chunk-0-dataset.json'), JSON.stringify(dataset));
  const program = makeCommand('workload', '', []);
  addServeGen(program);
  const output = join(folder, 'out.ndjson');
  await program.parseAsync(['servegen', folder, '-o', output, ...flags], { from: 'user' });
  return readFileSync(output, 'utf8').split('\n').length - 1;
}

test('a busy client has as many requests as its rate says', async () => {
  const count = await sampled('0,500,1,Gamma,1,1\n600,1,1\n', lengths);
  expect(Math.abs(count / 300_000 - 1)).toBeLessThan(0.01);
});

const histogram = { input_tokens: '{1e300: 1}', output_tokens: '{10: 1}' };

test.each<[string, unknown, RegExp]>([
  ['0,"1,1,Gam\n', lengths, /chunk-0-trace\.csv: Quote Not Closed/],
  ['0,Infinity,1\n', lengths, /chunk-0-trace\.csv:1: expected timestamp, rate, cv/],
  ['0,1,1e10,Gamma\n', lengths, /chunk-0-trace\.csv:1: cv: expected a number of 0 to 1000/],
  ['0,1,-1,Gamma\n', lengths, /chunk-0-trace\.csv:1: cv: .* got -1$/],
  ['0,1,1\n', null, /chunk-0-dataset\.json: expected object, received null$/],
  ['0,1,1\n', { 0: null }, /chunk-0-dataset\.json: 0: expected object, received null$/],
  [
    '0,1,1\n',
    { 0: histogram },
    /0\.input_tokens: expected 1073741823 tokens at most, got 1e\+300$/,
  ],
  ['0,1e12,1\n', lengths, /^chunk-0-trace\.csv: more than 4000000 requests$/],
])('refuses %s with %j', async (trace, dataset, says) => {
  await expect(sampled(trace, dataset)).rejects.toThrow(says);
});
