/** Who ran beside whom, by hand, and a slope by hand. */
import { describe, expect, it } from 'vitest';
import type { RequestRow } from '../run-data.js';
import { meanRunning, slopeOf } from './fit-per-sequence.js';

function decode(firstTokenNs: number, lastTokenNs: number): RequestRow {
  return {
    id: `${firstTokenNs}-${lastTokenNs}`,
    promptTokens: 1,
    outputTokens: 2,
    arrivalNs: 0,
    scheduledNs: undefined,
    firstTokenNs,
    lastTokenNs,
  };
}

describe('meanRunning', () => {
  it('counts a request itself and, by their time, those beside it', () => {
    const rows = [decode(0, 100), decode(50, 150), decode(50, 60), decode(200, 300)];
    // 50 ns alone, 10 with two others, 40 with one; the second: 10 of three, 40 of two, 50 alone.
    expect([...meanRunning(rows)]).toEqual([1.6, 1.6, 3, 1]);
  });

  it('knows requests of one token, and none', () => {
    expect([...meanRunning([decode(5, 5), decode(0, 10)])]).toEqual([0, 1]);
    expect(meanRunning([])).toHaveLength(0);
  });
});

describe('slopeOf', () => {
  it('is the least-squares line', () => {
    expect(slopeOf([1, 2, 3], [5, 7, 9])).toBe(2);
    expect(slopeOf([0, 1, 2, 3], [0, 2, 1, 3])).toBeCloseTo(0.8, 12);
  });

  it('is unknown where nothing varies', () => {
    expect(slopeOf([4, 4], [1, 2])).toBeUndefined();
    expect(slopeOf([], [])).toBeUndefined();
  });
});
