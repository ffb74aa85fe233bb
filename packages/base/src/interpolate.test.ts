/** Lines between measured points, and what continues them. */
import { describe, expect, it } from 'vitest';
import { interpolate, mergePoints, upperBound, upperSlope } from './interpolate.js';

const keys = Float64Array.of(1, 2, 8);
const values = Float64Array.of(10, 20, 80);

describe('interpolate', () => {
  it('is linear between points and constant outside', () => {
    expect([0, 1, 1.5, 2, 5, 8, 9].map((x) => interpolate(keys, values, x))).toEqual([
      10, 10, 15, 20, 50, 80, 80,
    ]);
  });
});

describe('upperBound', () => {
  it('is the first key beyond', () => {
    expect([0, 1, 1.5, 2, 8, 9].map((x) => upperBound(keys, x))).toEqual([0, 1, 1, 2, 3, 3]);
  });
});

describe('upperSlope', () => {
  it('goes from the last point up to the middle of the range to its end', () => {
    // Middle 4: from (2, 30) to (8, 60), whatever lies between.
    const five = [Float64Array.of(1, 2, 6, 7, 8), Float64Array.of(0, 30, 0, 90, 60)] as const;
    expect(upperSlope(...five)).toBe(5);
  });

  it('never falls, and is nothing for a single point', () => {
    expect(upperSlope(Float64Array.of(1, 2), Float64Array.of(5, 4))).toBe(0);
    expect(upperSlope(Float64Array.of(3), Float64Array.of(5))).toBe(0);
  });

  it('takes the point before the last where the middle is beyond all others', () => {
    expect(upperSlope(Float64Array.of(1, 2, 3), Float64Array.of(0, 1, 5))).toBe(2.5);
    expect(upperSlope(Float64Array.of(6, 7, 8), Float64Array.of(0, 1, 5))).toBe(2.5);
  });
});

describe('mergePoints', () => {
  it('sorts by key and takes the mean of equal ones', () => {
    expect(
      mergePoints([
        [4, 1],
        [2, 10],
        [4, 3],
      ]),
    ).toEqual([
      [2, 10],
      [4, 2],
    ]);
  });
});
