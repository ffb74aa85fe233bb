// Goal: our metric definitions give the published errors of LLMServingSim on its own committed runs,
// and bad input is one line with its place.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareRuns } from '../compare.js';
import { formatComparison } from '../format-comparison.js';
import { readLlmServingSimCsv, readSimulated } from './read-simulated.js';
import { readOtherRun, readRealRun } from './real/read-real-run.js';

const shared = new URL('../../../../../shared/refdata/llmservingsim/v1/bench', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(shared))('the peer against vLLM (needs ../shared)', () => {
  it.each([
    // Published: TPOT, latency, TTFT, makespan, unqueued TTFT from the engine's queue.
    ['RTXPRO6000', -1.0, -1.8, -4.3, -2.0, -13.3],
    ['RTX4090', 0.2, 0.5, 0.5, 0.0, -32.7],
  ])('%s', async (device, tpot, latency, ttft, makespan, unqueued) => {
    const folder = join(shared, device, 'Llama-3.1-8B');
    const real = await readRealRun(join(folder, 'vllm'));
    const peer = readLlmServingSimCsv(join(folder, 'llmservingsim/sim.csv.gz'));
    const comparison = compareRuns(peer, real);
    const error = (metric: string, statistic: string): number => {
      const row = comparison.metrics.find((m) => m.metric === metric && m.statistic === statistic);
      return row?.errorPct ?? Number.NaN;
    };
    expect(comparison.matched).toBe(300);
    expect(error('tpot', 'mean')).toBeCloseTo(tpot, 1);
    // Published from the engine's queue; ours counts from arrival.
    expect(Math.abs(error('latency', 'mean') - latency)).toBeLessThan(0.1);
    expect(error('ttft', 'mean')).toBeCloseTo(ttft, 1);
    expect(error('makespan', '')).toBeCloseTo(makespan, 1);
    expect(comparison.perRequest.ttftFromQueue.meanPct).toBeCloseTo(unqueued, 1);
    const text = formatComparison(comparison);
    expect(text).toContain('unqueuedTtft   mean');
    expect(text).toMatch(/^matched {4}300 requests, of which \d+ did not queue$/m);
    // A client's view does not say who queued.
    expect(formatComparison({ ...comparison, unqueued: 0 })).toMatch(/^matched {4}300 requests$/m);
  });
});

const dir = mkdtempSync(join(tmpdir(), 'report-'));
afterAll(() => rmSync(dir, { recursive: true }));

// Two requests measured at 100 s of the engine clock, epoch 1000 s: offset -900 s by request b.
const bench = [
  {
    request_id: 'bench-0',
    input_toks: 8,
    output_toks: 3,
    arrival_time: 1000,
    queued_ts: 100.1,
    scheduled_ts: 100.2,
    first_token_ts: 101,
    last_token_ts: 103,
  },
  {
    request_id: 'bench-1',
    input_toks: 9,
    output_toks: 1,
    arrival_time: 1001,
    queued_ts: 101,
    scheduled_ts: 101,
    first_token_ts: 102,
    last_token_ts: 102,
  },
];
const simulated = `request,instance,prompt_tokens,output_tokens,arrival_ns,scheduled_ns,first_token_ns,finish_ns,status
0,0,8,3,0,0,1100000000,3300000000,finished
1,0,9,1,1000000000,1000000000,1500000000,1500000000,finished
`;

function writeRuns(rows: readonly object[], requests: string): { sim: string; real: string } {
  writeFileSync(join(dir, 'requests.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  writeFileSync(
    join(dir, 'timeseries.csv'),
    't,prompt_throughput,gen_throughput\n1.0,8,1\n2.0,9,3\n',
  );
  writeFileSync(join(dir, 'requests.csv'), requests);
  writeFileSync(
    join(dir, 'intervals.csv'),
    'start_ns,prompt_tokens,output_tokens\n0,8,1\n1000000000,9,2\n2000000000,0,1\n',
  );
  writeFileSync(join(dir, 'run.json'), '{"complete": true}');
  return { sim: dir, real: dir };
}

describe('compare', () => {
  it('maps clocks and computes each metric', async () => {
    const { sim, real } = writeRuns(bench, simulated);
    const comparison = compareRuns(readSimulated(sim), await readRealRun(real));
    const value = (metric: string, statistic: string): [number, number] => {
      const row = comparison.metrics.find((m) => m.metric === metric && m.statistic === statistic);
      return [row?.real ?? -1, row?.simulated ?? -1];
    };
    // Arrivals on the engine clock: 100 and 101 s.
    expect(value('ttft', 'mean')).toEqual([1000, 800]);
    expect(value('tpot', 'mean')).toEqual([1000, 1100]);
    expect(value('latency', 'mean')).toEqual([2000, 1900]);
    expect(value('makespan', '')).toEqual([3, 3.3]);
    expect(value('itl', 'mean')).toEqual([1000, 1100]);
    expect(value('queueing', 'mean')).toEqual([100, 0]);
    // Request 0 was scheduled 200 ms after arrival, so only request 1 counts.
    expect(comparison.unqueued).toBe(1);
    expect(value('unqueuedTtft', 'mean')).toEqual([1000, 500]);
    expect(comparison.perRequest.ttft).toEqual({ mapePct: 30, meanPct: -20, requests: 2 });
    // |0| + |-1| + |1| of 4; cumulative gaps 0, 1, 0.
    expect(comparison.throughputSeries?.wapePct).toBeCloseTo(50, 9);
    expect(comparison.throughputSeries?.cumulativePct).toBeCloseTo(100 / 3 / 4, 9);
    expect(formatComparison(comparison)).toContain('-20.00');
  });

  it('leaves unfinished requests out and says so', async () => {
    const { sim, real } = writeRuns(
      bench,
      simulated.replace('1500000000,1500000000,finished', ',,unfinished'),
    );
    const comparison = compareRuns(readSimulated(sim), await readRealRun(real));
    expect(comparison.matched).toBe(1);
    expect(comparison.notes.join('\n')).toContain('1 requests finished in both runs, of 2');
  });

  it.each([
    ['other tokens', bench, simulated.replace('0,0,8', '0,0,7'), 'request bench-0 has 8 + 3'],
    ['other ids', bench, simulated.replaceAll(/^[01],/gm, 'z,'), 'no request of'],
    ['no rows', bench, simulated.split('\n')[0], 'requests.csv: no requests'],
    [
      'bad cell',
      bench,
      simulated.replace('1100000000', 'x'),
      'requests.csv:2: first_token_ns: expected a number, got "x"',
    ],
    ['bad line', [{ ...bench[0], input_toks: '8' }], simulated, 'requests.jsonl:1: input_toks'],
    [
      'times out of order',
      [{ ...bench[0], first_token_ts: 0 }],
      simulated,
      'requests.jsonl:1: first_token_ts: expected no less than scheduled_ts',
    ],
    [
      'a request twice',
      [bench[0], bench[0]],
      simulated,
      'requests.jsonl:2: request_id bench-0 occ',
    ],
    ['an empty table', bench, '', 'requests.csv: is empty, expected a header'],
    [
      'ms for s',
      [{ ...bench[0], arrival_time: 1.7e12 }],
      simulated,
      'requests.jsonl:1: arrival_time: expected number to be <=100000000000, got 1700000000000',
    ],
    ['empty', [], simulated, 'requests.jsonl: no requests'],
  ])('refuses: %s', async (_name, rows, csv, message) => {
    const { sim, real } = writeRuns(rows, csv);
    const run = async () => compareRuns(readSimulated(sim), await readRealRun(real));
    await expect(run()).rejects.toThrow(message);
  });

  it('two simulated runs: changes from a base, not errors', async () => {
    const { sim, real } = writeRuns(bench, simulated);
    const measured = formatComparison(compareRuns(readSimulated(sim), await readOtherRun(real)));
    expect(measured).toMatch(/^metric +real +simulated +error %/m);
    expect(measured).toMatch(/^per request {10}mean \|error\| % {4}mean error % {3}requests$/m);
    const base = join(dir, 'base');
    mkdirSync(base);
    writeFileSync(join(base, 'requests.csv'), simulated.replace('1100000000', '1000000000'));
    writeFileSync(join(base, 'run.json'), '{"complete":true}');
    const other = await readOtherRun(base);
    expect(other.simulated).toBe(true);
    const comparison = compareRuns(readSimulated(sim), other);
    const text = formatComparison(comparison);
    expect(text).toMatch(/^base {7}.*base, 2 requests$/m);
    expect(text).toMatch(/^metric +base +simulated +change %/m);
    expect(text).toMatch(/^per request {9}mean \|change\| % {3}mean change % {3}requests$/m);
    const makespan = comparison.metrics.find(({ metric }) => metric === 'makespan');
    expect(makespan?.errorPct).toBe(0);
    await expect(readRealRun(base)).rejects.toThrow('requests.jsonl: no such file');
  });

  it('refuses a missing folder', async () => {
    expect(() => readSimulated('/nowhere')).toThrow('/nowhere/requests.csv: no such file');
    await expect(readRealRun('/nowhere')).rejects.toThrow('/nowhere: no such file or folder');
  });
});
