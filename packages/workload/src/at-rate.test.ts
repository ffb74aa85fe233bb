/** A workload at another rate: as dense as asked, valid, and no more shared content than before. */
import { nsPerS } from '@astrolabe/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atRate, meanGapNs } from './at-rate.js';
import { materialise } from './content.js';
import type { Request } from './request.js';
import { RequestChecker } from './request-checker.js';

const base = (id: number, arrivalS: number, more: Partial<Request> = {}): Request => ({
  id,
  arrivalNs: arrivalS * nsPerS,
  promptTokens: 4,
  outputTokens: 2,
  ...more,
});

/** Four requests, one a second from 3 s; the third continues the second. */
const four = [
  base(0, 3, { promptTokenIds: [7, 8, 9, 10], outputTokenIds: [3, 4] }),
  base(1, 4, { session: 's' }),
  base(2, 5, { session: 's', prefix: { of: 1, tokens: 3 }, after: [1], thinkNs: 500 }),
  base(3, 6),
];

describe('atRate', () => {
  it('squeezes gaps, from 0 on, and leaves think time', () => {
    expect(atRate(four, 4, 1)).toEqual(
      four.map((request, i) => ({ ...request, arrivalNs: (i * nsPerS) / 4 })),
    );
  });

  it('takes as many of the first as fit', () => {
    expect(atRate(four, 0.5, 4).map(({ id, arrivalNs }) => [id, arrivalNs])).toEqual([
      [0, 0],
      [1, 2 * nsPerS],
    ]);
    expect(atRate(four, 0.001, 1)).toHaveLength(1);
  });

  it('comes again with ids, sessions, references and content of its own', () => {
    const made = atRate(four, 2, 4);
    expect(made[6]).toEqual({
      ...four[2],
      id: '2 (2)',
      arrivalNs: 3 * nsPerS,
      session: 's (2)',
      prefix: { of: '1 (2)', tokens: 3 },
      after: ['1 (2)'],
    });
    const content = materialise(made);
    const first = (index: number): number | undefined => content.sequence(index)?.[0];
    expect(first(2)).toBe(first(1));
    expect(first(6)).toBe(first(5));
    expect(first(5)).not.toBe(first(1));
    expect(first(4)).not.toBe(first(0));
    const { promptTokenIds = [], outputTokenIds = [] } = made[4];
    expect([...promptTokenIds, ...outputTokenIds]).toEqual(
      [7, 8, 9, 10, 3, 4].map((id) => id + 2 ** 20),
    );
  });

  it('comes again thousands of times, never with the content of before', () => {
    const ids = [5, 6, 7, 8];
    const two = [base(0, 0, { promptTokenIds: ids }), base(1, 1)];
    const made = atRate(two, 100, 100).filter(({ promptTokenIds }) => promptTokenIds !== undefined);
    expect(made).toHaveLength(5000);
    expect(new Set(made.map(({ promptTokenIds }) => String(promptTokenIds))).size).toBe(5000);
    expect(made[2048].promptTokenIds).toEqual([4, 7, 6, 9]);
  });

  it('gives valid workloads of the asked rate, whatever rate and duration', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 20 });
    const rate = fc.double({ min: 0.1, max: 100, noNaN: true });
    fc.assert(
      fc.property(gaps, rate, fc.integer({ min: 1, max: 20 }), (given, ratePerS, seconds) => {
        fc.pre(given.some((gap) => gap > 0));
        let atNs = 0;
        const requests = [0, ...given].map((gap, id) => {
          atNs += gap;
          return base(id, atNs / nsPerS, id > 0 && id % 3 === 0 ? { after: [id - 1] } : {});
        });
        const made = atRate(requests, ratePerS, seconds);
        expect(made).toHaveLength(Math.max(1, Math.round(ratePerS * seconds)));
        const checker = new RequestChecker();
        for (const request of made) checker.check(request, 'made');
        if (made.length === requests.length) {
          expect(meanGapNs(made) * ratePerS).toBeCloseTo(nsPerS, -1);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a workload without a rate', () => {
    expect(() => atRate([four[0]], 1, 1)).toThrow(/^all requests arrive at one time/);
    expect(() => atRate([base(0, 1), base(1, 1)], 1, 1)).toThrow(/no rate to change/);
    expect(() => atRate(four, 1e9, 60)).toThrow(/60000000000 requests, expected at most 10000000$/);
    expect(() => atRate([base(0, 0), base(1, 8e6)], 1e-7, 1e8)).toThrow(/more than 2\^53/);
  });
});
