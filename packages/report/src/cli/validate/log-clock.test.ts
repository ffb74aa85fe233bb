/** Simulated tokens in a throughput log's intervals. */
import { expect, test } from 'vitest';
import type { RunData } from '../../run-data.js';
import { simulatedIntervalS, tokensOnLogClock } from './log-clock.js';
import type { MeasuredSeries } from './read-measured.js';

const series: MeasuredSeries = {
  kind: 'throughput',
  intervalS: 1,
  values: [0, 1],
  atZero: true,
  pools: [],
};

/** Tokens at times of the workload's clock, s. */
function run(times: readonly number[]): RunData {
  const intervalS = simulatedIntervalS(series);
  const outputTokens = new Array<number>(60).fill(0);
  for (const time of times) outputTokens[Math.floor(time / intervalS + 1e-9)]++;
  return {
    rows: [],
    series: { intervalNs: intervalS * 1e9, promptTokens: [], outputTokens },
  } as unknown as RunData;
}

test("the log's seconds end a tenth of a second before the workload's", () => {
  const tokens = tokensOnLogClock(run([0, 0.85, 0.95, 1.85, 1.9, 2.5]), series);
  expect(tokens).toEqual([2, 2, 2, 0]);
});

test('nothing is lost or made up', () => {
  const times = Array.from({ length: 50 }, (_, i) => i * 0.0571);
  const tokens = tokensOnLogClock(run(times), series);
  expect(tokens.reduce((sum, count) => sum + count, 0)).toBe(50);
});

test('other series keep their own intervals', () => {
  expect(simulatedIntervalS(undefined)).toBe(1);
  expect(simulatedIntervalS({ ...series, kind: 'power', intervalS: 5 })).toBe(5);
});
