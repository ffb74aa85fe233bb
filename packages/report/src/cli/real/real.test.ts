/** Measured runs of other tools: the times they give, ids as in the workload of the same file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readWorkload } from '@astrolabe/workload/cli';
import { afterAll, describe, expect, test } from 'vitest';
import type { RunData } from '../../run-data.js';
import { readRealRun } from './read-real-run.js';

const folder = mkdtempSync(join(tmpdir(), 'real-'));
const path = join(folder, 'run.json');
afterAll(() => rmSync(folder, { recursive: true }));

function write(...lines: readonly unknown[]): string {
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

/** The workload of the same file names the same requests. */
async function checkIds(run: RunData, left: number): Promise<void> {
  const requests = await readWorkload(path);
  expect(requests).toHaveLength(run.rows.length + left);
  for (const { id, promptTokens, outputTokens, arrivalNs } of run.rows) {
    const request = requests.find((one) => String(one.id) === id);
    expect(request).toMatchObject({ promptTokens, outputTokens, arrivalNs });
  }
}

describe('vLLM bench serve', () => {
  // The second started first; the third failed at once, the fourth after a token.
  const bench = {
    backend: 'vllm',
    input_lens: [8, 4, 5, 6],
    output_lens: [3, 1, 0, 1],
    ttfts: [0.25, 0.5, 0, 0.1],
    itls: [[0.01, 0.02], [], [], []],
    start_times: [101.5, 100.5, 102, 103],
    errors: ['', '', 'refused', 'cut off'],
    mean_ttft_ms: 1,
  };

  test("gives arrival, first and last token on the client's clock", async () => {
    const run = await readRealRun(write(bench));
    expect(run.totalRequests).toBe(4);
    expect(run.rows).toMatchObject([
      { id: '0', promptTokens: 4, arrivalNs: 0, firstTokenNs: 5e8, lastTokenNs: 5e8 },
      { id: '1', promptTokens: 8, arrivalNs: 1e9, firstTokenNs: 1.25e9, lastTokenNs: 1.28e9 },
    ]);
    expect(run.rows.every(({ scheduledNs }) => scheduledNs === undefined)).toBe(true);
    await checkIds(run, 1);
  });

  test('counts from the first start, also of a request that failed', async () => {
    const run = await readRealRun(write({ ...bench, start_times: [101.5, 100.5, 100, 103] }));
    expect(run.rows.map(({ arrivalNs }) => arrivalNs)).toEqual([5e8, 1.5e9]);
    await checkIds(run, 1);
  });

  test('takes latencies where they are given, and a result over several lines', async () => {
    write();
    writeFileSync(path, JSON.stringify({ ...bench, latencies: [0.5, 0.75, 0, 1] }, null, 2));
    const { rows } = await readRealRun(path);
    expect(rows.map(({ lastTokenNs }) => lastTokenNs)).toEqual([7.5e8, 1.5e9]);
  });

  test.each([
    ['without details', { ...bench, ttfts: undefined }, 'ttfts: missing, expected array'],
    ['of an old version', { ...bench, start_times: undefined }, 'start_times: missing'],
    ['of other lengths', { ...bench, itls: [] }, 'itls: expected 4 as in input_lens, got 0'],
    ['of other latencies', { ...bench, latencies: [1] }, 'latencies: expected 4 as in input_lens'],
    ['of other errors', { ...bench, errors: [''] }, 'errors: expected 4 as in input_lens, got 1'],
    ['in ms', { ...bench, ttfts: [1, 2, 3, '4'] }, 'ttfts[3]: expected number, received string'],
    ['of nothing', { ...bench, output_lens: [0, 0, 0, 0] }, 'no requests with tokens'],
    ['of something else', { a: 1 }, 'is no measured run that is known'],
  ])('refuses a result %s', async (_, given, says) => {
    await expect(readRealRun(write(given))).rejects.toThrow(`${path}: ${says}`);
  });

  test('says which flags of the benchmark are missing', async () => {
    await expect(readRealRun(write({ ...bench, ttfts: undefined }))).rejects.toMatchObject({
      hint: expect.stringContaining('--save-detailed'),
    });
    await expect(readRealRun(write({ ...bench, ttfts: [1, 2, 3, '4'] }))).rejects.toMatchObject({
      hint: undefined,
    });
  });
});

test('refuses a path where nothing is', async () => {
  await expect(readRealRun(join(folder, 'none'))).rejects.toThrow(/none: no such file or folder$/);
  await expect(readRealRun(folder)).rejects.toThrow(/requests\.jsonl: no such file$/);
});

describe('AIPerf', () => {
  const start = 1_760_000_000_000_000_000;
  const line = (startNs: number, more: object = {}, metrics: object = {}): object => ({
    metadata: { request_start_ns: startNs, benchmark_phase: 'profiling', was_cancelled: false },
    metrics: {
      input_sequence_length: { value: 7, unit: 'tokens' },
      output_sequence_length: { value: 3, unit: 'tokens' },
      time_to_first_token: { value: 250, unit: 'ms' },
      request_latency: { value: 0.75, unit: 's' },
      ...metrics,
    },
    error: null,
    ...more,
  });

  test('takes metrics by all their names, times in ns to s, and no cancelled requests', async () => {
    const metadata = { request_start_ns: start, was_cancelled: true };
    const named = {
      input_sequence_length: undefined,
      output_sequence_length: undefined,
      isl: { value: 6, unit: 'tokens' },
      output_token_count: { value: 2, unit: 'tokens' },
      time_to_first_token: { value: 1500, unit: 'us' },
      request_latency: { value: 2e6, unit: 'ns' },
    };
    const run = await readRealRun(write(line(start, { metadata }), line(start, {}, named)));
    expect(run).toMatchObject({
      totalRequests: 2,
      rows: [{ id: '0', promptTokens: 6, outputTokens: 2, firstTokenNs: 15e5, lastTokenNs: 2e6 }],
    });
    await checkIds(run, 0);
  });

  test('gives times in whatever unit, without warm-up and failures', async () => {
    const warmUp = { metadata: { request_start_ns: start - 1e9, benchmark_phase: 'warmup' } };
    const run = await readRealRun(
      write(line(0, warmUp), line(start), line(start + 1e9, { error: 'x' }), line(start + 2e9)),
    );
    expect(run.totalRequests).toBe(3);
    expect(run.rows).toEqual(
      [0, 2e9].map((arrivalNs, id) => ({
        id: String(id),
        promptTokens: 7,
        outputTokens: 3,
        arrivalNs,
        scheduledNs: undefined,
        firstTokenNs: arrivalNs + 25e7,
        lastTokenNs: arrivalNs + 75e7,
      })),
    );
    await checkIds(run, 0);
  });

  test('orders requests by their start, whatever ended first, without those that have no tokens', async () => {
    const prompt = (value: number): object => ({
      input_sequence_length: { value, unit: 'tokens' },
    });
    const none = { output_sequence_length: { value: 0, unit: 'tokens' } };
    const early = line(start - 1e9, {}, { ...none, time_to_first_token: undefined });
    const run = await readRealRun(
      write(line(start + 1e9, {}, prompt(5)), early, line(start, {}, prompt(9))),
    );
    expect(run.totalRequests).toBe(3);
    expect(run.rows).toMatchObject([
      { id: '0', promptTokens: 9, arrivalNs: 0, firstTokenNs: 25e7 },
      { id: '1', promptTokens: 5, arrivalNs: 1e9, firstTokenNs: 125e7 },
    ]);
    await checkIds(run, 0);
  });

  test.each([
    [
      'half a token',
      { output_sequence_length: { value: 2.5, unit: 'tokens' } },
      'output_sequence_length: value: expected an integer, got 2.5',
    ],
    [
      'another unit',
      { request_latency: { value: 1, unit: 'h' } },
      'request_latency.unit: expected one of ns',
    ],
    ['no streaming', { time_to_first_token: undefined }, 'time_to_first_token: missing'],
    [
      'an end before the first token',
      { request_latency: { value: 1, unit: 'ms' } },
      'request_latency: expected no less',
    ],
  ])('refuses %s, with the line', async (_, metrics, says) => {
    const given = write(line(start), line(start, {}, metrics));
    await expect(readRealRun(given)).rejects.toThrow(`${path}:2: metrics.${says}`);
  });

  test('refuses a run in which nothing ended well', async () => {
    await expect(readRealRun(write(line(start, { error: 'x' })))).rejects.toThrow('ended well');
  });
});
