import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { distribution, distributionOfRepeated, quantileSorted } from './quantile.js';

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

  it('are the same of values with counts as of all values one by one', () => {
    const run = fc.record({ value: fc.double({ min: 0, max: 9, noNaN: true }), count: fc.nat(5) });
    const property = fc.property(fc.array(run), (runs) => {
      const used = runs.filter(({ count }) => count > 0);
      const repeated = {
        values: Float64Array.from(used, ({ value }) => value),
        counts: Int32Array.from(used, ({ count }) => count),
      };
      const all = used.flatMap(({ value, count }) => new Array<number>(count).fill(value));
      expect(distributionOfRepeated(repeated)).toEqual(distribution(all));
    });
    fc.assert(property);
  });
});
