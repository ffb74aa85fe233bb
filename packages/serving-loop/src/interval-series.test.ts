/** What intervals credit, by hand. */
import { describe, expect, it } from 'vitest';
import { checkIntervals, IntervalSeries } from './interval-series.js';
import { RequestState } from './request-state.js';
import type { Batch } from './scheduler/batch.js';

const request = new RequestState(0, 10, 5, 0);

function batch(newTokens: number, contextTokens: number, extra: Partial<Batch> = {}): Batch {
  return {
    requests: [request],
    newTokens: [newTokens],
    contextTokens: [contextTokens],
    samples: [true],
    ...extra,
  };
}

const tokens = (series: IntervalSeries): number[][] =>
  series.intervals.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens]);

describe('IntervalSeries', () => {
  it('credits prompt tokens, not what is computed beyond them, and tokens gained', () => {
    const series = new IntervalSeries(100);
    series.credit(batch(10, 0), 99);
    series.credit(batch(1, 10), 100);
    // After a preemption prompt and output are computed together.
    series.credit(batch(4, 8), 350);
    series.credit(batch(4, 12, { gained: [3] }), 399);
    series.credit(batch(4, 0, { samples: [false] }), 399);
    expect(tokens(series)).toEqual([
      [10, 1],
      [0, 1],
      [0, 0],
      [2 + 4, 1 + 3],
    ]);
    expect(series.intervals.map(({ startNs }) => startNs)).toEqual([0, 100, 200, 300]);
  });

  it('refuses more intervals than memory has room for', () => {
    expect(() => checkIntervals(4.9e6, 1)).not.toThrow();
    expect(() => checkIntervals(5e6, 1)).toThrow('at most 5000000 intervals');
  });
});
