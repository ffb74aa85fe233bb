/** Goals: what convert leaves out is counted and named, and the rest is whole. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCommand } from '@astrolabe/base/cli';
import { afterAll, describe, expect, test } from 'vitest';
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

test('arrivals in ns of an epoch are shifted exactly, sorted too', async () => {
  const at = (id: string, text: string): string => request(id, 0, 4).replace(':0,', `:${text},`);
  const text = at('b', '1763700001068000001') + at('a', '1763700000068000000');
  await expect(convert(text)).rejects.toThrow(/beyond 104 days/);
  const sorted = await convert(text, '--start-at-zero', '--sort');
  expect(sorted.map(({ id, arrivalNs }) => [id, arrivalNs])).toEqual([
    ['a', 0],
    ['b', 1_000_000_001],
  ]);
  await expect(convert(text, '--start-at-zero')).rejects.toMatchObject({
    hint: expect.stringContaining('--sort'),
  });
});

describe("a table of one's own", () => {
  const csv = 'ts,in,out,tenant,prio\n12.5,374,44,chat,3\n14,396,109,,\n';

  test('columns are what the flag says, in CSV and JSON lines', async () => {
    const columns = 'arrival_s=ts,prompt=in, output=out,class=tenant,priority=prio';
    const expected = [
      { id: 0, arrivalNs: 0, promptTokens: 374, outputTokens: 44, sloClass: 'chat', priority: 3 },
      { id: 1, arrivalNs: 1_500_000_000, promptTokens: 396, outputTokens: 109 },
    ];
    expect(await convert(csv, '--columns', columns, '--start-at-zero')).toEqual(expected);
    const lines = '{"at":7,"p":2,"n":3,"who":"x"}\n{"at":9,"p":2,"n":3,"who":"y"}\n';
    expect(await convert(lines, '--columns', 'arrival_ms=at,prompt=p,output=n,id=who')).toEqual([
      { id: 'x', arrivalNs: 7_000_000, promptTokens: 2, outputTokens: 3 },
      { id: 'y', arrivalNs: 9_000_000, promptTokens: 2, outputTokens: 3 },
    ]);
  });

  test('time stamps count from the first row; without arrivals a rate makes them', async () => {
    const stamps = 'when,in,out\n2026-01-02T03:04:05.5Z,1,2\n2026-01-02T03:04:06.25Z,1,2\n';
    const requests = await convert(stamps, '--columns', 'arrival=when,prompt=in,output=out');
    expect(requests.map(({ arrivalNs }) => arrivalNs)).toEqual([0, 750_000_000]);
    const spaced = await convert(csv, '--columns', 'prompt=in,output=out', '--gap-ns', '5');
    expect(spaced.map(({ arrivalNs }) => arrivalNs)).toEqual([0, 5]);
    await expect(convert(csv, '--columns', 'prompt=in,output=out')).rejects.toThrow(
      /no arrival times/,
    );
  });

  test('what is wrong with the flag or the table is named', async () => {
    const refusal = (columns: string) => convert(csv, '--columns', columns);
    await expect(refusal('arival_s=ts,prompt=in,output=out')).rejects.toThrow(
      /--columns: "arival_s=ts" is no quantity=column/,
    );
    await expect(refusal('prompt=in')).rejects.toThrow(/prompt and output must be given/);
    await expect(refusal('prompt=in,prompt=in,output=out')).rejects.toThrow(/given twice/);
    await expect(refusal('arrival=ts,arrival_s=ts,prompt=in,output=out')).rejects.toThrow(
      /more than one column of arrivals/,
    );
    await expect(refusal('arrival_s=ts,prompt=inn,output=out')).rejects.toThrow(
      /in\.ndjson:2: no column "inn" \(prompt of --columns\)/,
    );
    await expect(convert(csv)).rejects.toThrow(/not a workload we know: csv with keys ts, in/);
  });
});
