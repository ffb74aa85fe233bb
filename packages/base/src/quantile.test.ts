import { describe, expect, it } from 'vitest';
import { distribution, quantileSorted } from './quantile.js';

describe('quantiles', () => {
  it('interpolate between the nearest ranks, as NumPy does', () => {
    expect(quantileSorted([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantileSorted([1, 2, 3, 4], 0.9)).toBeCloseTo(3.7);
    expect(quantileSorted([5], 0.99)).toBe(5);
  });

  it('there is no distribution of nothing', () => {
    expect(distribution([])).toBeUndefined();
    expect(distribution([3, 1, 2])).toMatchObject({ count: 3, mean: 2, p50: 2, max: 3 });
  });
});
