/** The search finds the limit of any service, wherever it is, in few probes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findCapacity } from './find-capacity.js';

const bears = (limit: number) => (ratePerS: number) =>
  Promise.resolve({ ratePerS, met: ratePerS <= limit });

describe('findCapacity', () => {
  it('finds the limit within the precision, wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: -9, max: 13, noNaN: true }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        async (exponent, precision) => {
          const limit = 2 ** exponent;
          const { best, beyond, probes } = await findCapacity(bears(limit), { precision });
          const [low, high] = [best?.ratePerS ?? 0, beyond?.ratePerS ?? 0];
          expect(low).toBeLessThanOrEqual(limit);
          expect(high).toBeGreaterThan(limit);
          expect(high / low).toBeLessThanOrEqual(1 + Math.max(precision, 0.011));
          expect(probes.length).toBeLessThan(35);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('probes few rates: doubling, then halving the gap', async () => {
    const { probes } = await findCapacity(bears(11), { precision: 0.1 });
    expect(probes.map(({ ratePerS }) => ratePerS)).toEqual([1, 2, 4, 8, 16, 11.3, 9.51, 10.4]);
  });

  it('stays within a range: none, all or a rate in it', async () => {
    const search = { range: [4, 16] as const, precision: 0.05 };
    const none = await findCapacity(bears(3), search);
    expect(none).toMatchObject({ best: undefined, beyond: { ratePerS: 4 } });
    expect(none.probes).toHaveLength(1);
    const all = await findCapacity(bears(20), search);
    expect(all).toMatchObject({ best: { ratePerS: 16 }, beyond: undefined });
    expect(all.probes.map(({ ratePerS }) => ratePerS)).toEqual([4, 8, 16]);
    const coarse = await findCapacity(bears(20), { range: [4, 16], precision: 3 });
    expect(coarse.probes.map(({ ratePerS }) => ratePerS)).toEqual([4, 16]);
    expect((await findCapacity(bears(8), search)).best?.ratePerS).toBeCloseTo(8, 0);
    expect((await findCapacity(bears(9), { range: [9, 9], precision: 1 })).probes).toHaveLength(1);
    // No rate of three figures lies between these.
    const near = { range: [1.0051, 1.0054] as const, precision: 1e-5 };
    expect((await findCapacity(bears(1.0052), near)).probes).toHaveLength(2);
  });

  it('never looks far above the limit, however wide the range', async () => {
    const { best, probes } = await findCapacity(bears(11), { range: [1, 1e6], precision: 0.05 });
    expect(best?.ratePerS).toBeCloseTo(11, 0);
    expect(Math.max(...probes.map(({ ratePerS }) => ratePerS))).toBe(16);
  });

  it('gives up on a service that bears nothing, and on one that bears everything', async () => {
    const nothing = await findCapacity(bears(0), { precision: 0.1 });
    expect(nothing.best).toBeUndefined();
    expect(nothing.probes).toHaveLength(11);
    const everything = await findCapacity(bears(Number.POSITIVE_INFINITY), { precision: 0.1 });
    expect(everything.beyond).toBeUndefined();
    expect(everything.best?.ratePerS).toBe(2 ** 14);
  });
});
