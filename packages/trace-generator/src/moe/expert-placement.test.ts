/** Placements by hand, and what holds of all of them. */
import { expertOptionsSchema } from '@astrolabe/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  balancedPlacement,
  busiestMove,
  linearPlacement,
  type Placement,
} from './expert-placement.js';
import { expertShares } from './expert-shares.js';

/** Load of every rank, an expert's split evenly over its replicas. */
function rankLoads(
  { experts, replicas }: Placement,
  loads: ArrayLike<number>,
  ranks: number,
): number[] {
  const sums = new Array<number>(ranks).fill(0);
  experts.forEach((expert, slot) => {
    sums[Math.floor((slot * ranks) / experts.length)] += loads[expert] / replicas[expert];
  });
  return sums;
}

describe('four experts on two ranks with two redundant ones', () => {
  // 12 7 3 2: the first replica goes to 12 (6, 6), the second to 7 (3.5, 3.5).
  const loads = [12, 7, 3, 2];
  const balanced = balancedPlacement(loads, 2, 2);

  it('start linear, replicas behind them in turn', () => {
    const linear = linearPlacement(4, 2);
    expect([...linear.experts]).toEqual([0, 1, 2, 3, 0, 1]);
    expect([...linear.replicas]).toEqual([2, 2, 1, 1]);
  });

  it('replicate the hottest per replica and pack the heaviest first', () => {
    // 6 | 6, then 3.5 | 3.5, then 3 to rank 0 and 2 to the free slot.
    expect([...balanced.experts]).toEqual([0, 1, 2, 0, 1, 3]);
    expect([...balanced.replicas]).toEqual([2, 2, 1, 1]);
    expect(rankLoads(balanced, loads, 2)).toEqual([12.5, 11.5]);
    expect(rankLoads(linearPlacement(4, 0), loads, 2)).toEqual([19, 5]);
  });

  it('move only experts that a rank does not hold yet', () => {
    // Linear: 0 1 2 | 3 0 1, the same sets.
    expect(busiestMove(linearPlacement(4, 2), balanced, 2)).toBe(0);
    // 2 3 1 | 2 3 0: rank 0 gets 3, rank 1 gets 2.
    const other = balancedPlacement([2, 3, 12, 7], 2, 2);
    expect([...other.experts]).toEqual([2, 3, 1, 2, 3, 0]);
    expect(busiestMove(linearPlacement(4, 2), other, 2)).toBe(1);
    expect(busiestMove(linearPlacement(4, 2), linearPlacement(4, 2), 2)).toBe(0);
  });

  it('divide those that fetch one expert over its holders', () => {
    const of = (experts: number[]): Placement => {
      const replicas = new Int32Array(4);
      for (const expert of experts) replicas[expert]++;
      return { experts: Int32Array.from(experts), replicas };
    };
    // Ranks 2 and 3 fetch expert 0, one from rank 0 and one from rank 1.
    expect(busiestMove(of([0, 1, 0, 2, 3, 1, 3, 2]), of([0, 1, 0, 2, 0, 3, 0, 3]), 4)).toBe(1);
    // Rank 0 alone has it: it sends to the three others.
    expect(busiestMove(of([0, 1, 1, 2, 3, 1, 3, 2]), of([0, 1, 0, 2, 0, 3, 0, 3]), 4)).toBe(3);
  });

  it('are greedy: an even placement of 3 3 0 and 2 2 2 comes out uneven', () => {
    const even = [3, 3, 0, 2, 2, 2];
    expect(rankLoads(linearPlacement(6, 0), even, 2)).toEqual([6, 6]);
    expect(rankLoads(balancedPlacement(even, 0, 2), even, 2)).toEqual([7, 5]);
  });
});

const cases = fc
  .record({ ranks: fc.integer({ min: 2, max: 8 }), local: fc.integer({ min: 1, max: 8 }) })
  .chain(({ ranks, local }) =>
    fc.integer({ min: 0, max: Math.floor((ranks * local) / 2) }).chain((redundant) =>
      fc.record({
        ranks: fc.constant(ranks),
        redundant: fc.constant(redundant),
        loads: fc.array(
          fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 1e6 })),
          {
            minLength: ranks * local - redundant,
            maxLength: ranks * local - redundant,
          },
        ),
      }),
    ),
  );

describe('every placement', () => {
  it('has all experts, as many slots on each rank, and all of the load', () => {
    fc.assert(
      fc.property(cases, ({ ranks, redundant, loads }) => {
        const { experts, replicas } = balancedPlacement(loads, redundant, ranks);
        expect(experts.length).toBe(loads.length + redundant);
        loads.forEach((_, expert) => {
          expect(replicas[expert]).toBe(experts.filter((one) => one === expert).length);
          expect(replicas[expert]).toBeGreaterThanOrEqual(1);
        });
        const total = loads.reduce((sum, load) => sum + load, 0);
        const sums = rankLoads({ experts, replicas }, loads, ranks);
        expect(sums.reduce((sum, load) => sum + load, 0)).toBeCloseTo(total, 3);
      }),
    );
  });

  it('leaves ranks no further apart than its heaviest physical expert', () => {
    fc.assert(
      fc.property(cases, ({ ranks, redundant, loads }) => {
        const placement = balancedPlacement(loads, redundant, ranks);
        const sums = rankLoads(placement, loads, ranks);
        const heaviest = Math.max(...loads.map((load, e) => load / placement.replicas[e]));
        expect(Math.max(...sums) - Math.min(...sums)).toBeLessThanOrEqual(heaviest * (1 + 1e-9));
      }),
    );
  });

  it('has no busier rank than linear experts under zipf', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e6 }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.constantFrom(2, 4, 8, 16),
        fc.integer({ min: 0, max: 4 }),
        (seed, zipf_exponent, ranks, perRank) => {
          const moe = { numExperts: 128, expertsPerToken: 8, intermediateSize: 1 };
          const options = expertOptionsSchema.parse({ routing: 'zipf', zipf_exponent, seed });
          const [shares] = expertShares(options, moe, 1) ?? [];
          const busiest = (placement: Placement): number =>
            Math.max(...rankLoads(placement, shares, ranks));
          const without = busiest(linearPlacement(128, 0));
          const balanced = busiest(balancedPlacement(shares, perRank * ranks, ranks));
          expect(balanced).toBeLessThanOrEqual(without * (1 + 1e-9));
        },
      ),
    );
  });
});
