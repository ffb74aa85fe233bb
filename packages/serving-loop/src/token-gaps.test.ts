/** Gaps between tokens, by hand. */
import { describe, expect, it } from 'vitest';
import { RequestState } from './request-state.js';
import type { Batch } from './scheduler/batch.js';
import { TokenGaps } from './token-gaps.js';

/** A step that has just given the request a token, or `gained` of them. */
function step(request: RequestState, gained?: number): Batch {
  request.numOutputTokens += gained ?? 1;
  const batch: Batch = { requests: [request], newTokens: [1], contextTokens: [9], samples: [true] };
  return gained === undefined ? batch : { ...batch, gained: [gained] };
}

describe('TokenGaps', () => {
  it('counts from the second token on; tokens of one step come as one', () => {
    const gaps = new TokenGaps(2);
    const [a, b] = [new RequestState(0, 9, 9, 0), new RequestState(1, 9, 9, 0)];
    gaps.record(step(a), 10);
    gaps.record(step(b), 15);
    gaps.record(step(a, 3), 30);
    gaps.record(step(b, 1), 31);
    gaps.record({ ...step(a), samples: [false] }, 35);
    gaps.record(step(a), 70);
    expect([...gaps.toArray()]).toEqual([20, 16, 40]);
  });

  it('equal gaps are one value with a count', () => {
    const gaps = new TokenGaps(1);
    const request = new RequestState(0, 9, 9, 0);
    for (const seenNs of [10, 30, 50, 71, 91]) gaps.record(step(request), seenNs);
    const { values, counts } = gaps.repeated();
    expect([[...values], [...counts]]).toEqual([
      [20, 21, 20],
      [2, 1, 1],
    ]);
  });

  it('speculation may give several first tokens', () => {
    const gaps = new TokenGaps(1);
    gaps.record(step(new RequestState(0, 9, 9, 0), 2), 10);
    expect([...gaps.toArray()]).toEqual([]);
  });

  it('a prefill for another instance is not seen; its token is where it is given to the client', () => {
    const gaps = new TokenGaps(1);
    const [leg, request] = [new RequestState(0, 9, 1, 0), new RequestState(0, 9, 9, 0)];
    leg.isPrefillLeg = true;
    // The hand-over is told while the step is taken in, before it is recorded.
    gaps.first(0, 12);
    gaps.record(step(leg), 15);
    expect([...gaps.toArray()]).toEqual([]);
    request.numOutputTokens = 1;
    gaps.record(step(request), 30);
    expect([...gaps.toArray()]).toEqual([18]);
  });
});
