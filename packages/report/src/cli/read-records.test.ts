/**
 * Goal: a run's folder that was damaged is refused with file, line and field, and never drawn in part.
 * Method: a field of a good line goes, or becomes something else.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { readRecords } from './read-records.js';

const folder = mkdtempSync(join(tmpdir(), 'records-'));
afterAll(() => rmSync(folder, { recursive: true }));

const iteration = { instance: 0, iteration: 0, requests: [0], newTokens: [5], contextTokens: [0] };
const npu = {
  npu: 0,
  startNs: 1,
  finishNs: 9,
  computeNs: 8,
  exposedCommNs: 0,
  exposedMemoryNs: 0,
};
const completion = {
  instance: 0,
  iteration: 0,
  lane: 0,
  startNs: 1,
  finishNs: 9,
  npus: [npu],
  commBytes: 0,
  memoryBytes: 0,
};

function write(iterations: object, completions: object): void {
  writeFileSync(join(folder, 'requests.csv'), 'request,status\n0,unfinished\n');
  writeFileSync(join(folder, 'iterations.ndjson'), JSON.stringify(iterations));
  writeFileSync(join(folder, 'completions.ndjson'), JSON.stringify(completions));
}

test('a good folder is read', async () => {
  write(iteration, completion);
  expect((await readRecords(folder)).steps).toEqual([
    expect.objectContaining({ finishNs: 9, prefillTokens: 5, npus: [npu] }),
  ]);
});

test('KV from one instance to another stands among the iterations', async () => {
  const transfer = { transfer: 4, request: 0, from: 0, to: 1, releaseNs: 3, tokens: 16 };
  write(transfer, { ...completion, instance: 1, iteration: 4, lane: 1, commBytes: 64 });
  expect((await readRecords(folder)).steps).toEqual([
    expect.objectContaining({ instance: 1, lane: 1, requests: [0], prefillTokens: 0 }),
  ]);
  write({ ...transfer, to: 'b' }, completion);
  await expect(readRecords(folder)).rejects.toThrow('iterations.ndjson:1: to: expected number');
});

test('a field that is missing or wrong is named with its line', async () => {
  const wrong = fc.constantFrom(undefined, null, 'x', -1, {});
  const spoilt = (record: object) => fc.tuple(fc.constantFrom(...Object.keys(record)), wrong);
  await fc.assert(
    fc.asyncProperty(spoilt(npu), async ([key, value]) => {
      write(iteration, { ...completion, npus: [{ ...npu, [key]: value }] });
      await expect(readRecords(folder)).rejects.toThrow(`completions.ndjson:1: npus[0].${key}: `);
    }),
    { seed: 1, numRuns: 30 },
  );
  await fc.assert(
    fc.asyncProperty(spoilt(iteration), async ([key, value]) => {
      write({ ...iteration, [key]: value }, completion);
      await expect(readRecords(folder)).rejects.toThrow(`iterations.ndjson:1: ${key}: `);
    }),
    { seed: 1, numRuns: 30 },
  );
});

test('a run that ended before its results says why', async () => {
  const dead = mkdtempSync(join(tmpdir(), 'dead-'));
  try {
    await expect(readRecords(dead)).rejects.toThrow(/requests\.csv: no such file/);
    writeFileSync(join(dead, 'run.json'), '{"complete":false}');
    await expect(readRecords(dead)).rejects.toThrow(/requests\.csv: no such file/);
    writeFileSync(
      join(dead, 'run.json'),
      '{"complete":false,"error":"a stage ended; its last stderr lines:\\n  | why"}',
    );
    const says = `${dead}: this run has no requests.csv: a stage ended`;
    await expect(readRecords(dead)).rejects.toThrow(new RegExp(`^${says}$`));
  } finally {
    rmSync(dead, { recursive: true });
  }
});

test('a completion of no iteration is refused', async () => {
  write(iteration, { ...completion, iteration: 7 });
  await expect(readRecords(folder)).rejects.toThrow(
    /completions\.ndjson:1: completes no iteration/,
  );
});

test('a column that is missing, and a cell that is no number', async () => {
  write(iteration, completion);
  const intervals = join(folder, 'intervals.csv');
  writeFileSync(intervals, 'start_ns,output_tokens\n0,1\n');
  await expect(readRecords(folder)).rejects.toThrow('intervals.csv: no column "prompt_tokens"');
  writeFileSync(intervals, 'start_ns,output_tokens\n0,1\n1,x\n');
  await expect(readRecords(folder)).rejects.toThrow(
    'intervals.csv:3: output_tokens: expected a number, got "x"',
  );
});

test('intervals that are not equally long, or not of this run', async () => {
  write(iteration, { ...completion, finishNs: 1e10 });
  const intervals = join(folder, 'intervals.csv');
  const header = 'start_ns,output_tokens,prompt_tokens,running,waiting,kv_usage';
  const cells = '1,1,1,1,0';
  const lines = (...startsNs: number[]): void =>
    writeFileSync(intervals, [header, ...startsNs.map((start) => `${start},${cells}`)].join('\n'));
  for (const [startsNs, line] of [
    [[0, 0], 3],
    [[5, 0], 3],
    [[0, 1e-300], 3],
    [[0, 1e9, 3e9], 4],
  ] as const) {
    lines(...startsNs);
    await expect(readRecords(folder)).rejects.toThrow(
      `intervals.csv:${line}: start_ns: expected rows a fixed time apart`,
    );
  }
  lines(0, 1, 2);
  await expect(readRecords(folder)).rejects.toThrow(
    'intervals.csv: intervals of 1 ns, but the run ends at 10000000000 ns',
  );
  lines(0, 1e9, 2e9);
  expect((await readRecords(folder)).counters[0]?.intervalNs).toBe(1e9);
});
