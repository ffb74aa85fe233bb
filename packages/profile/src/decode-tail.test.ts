/** What unequal decodes cost: measured from batches of two lengths, applied to any lengths. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeTail, measureTail, skewShots, type TailPoints } from './decode-tail.js';
import { ProfileTableBuilder } from './profile-table.js';

function points(chunkTokens: number, decodes: number, ...share: readonly number[]): TailPoints {
  return { chunkTokens, decodes, longest: share.map((_, i) => 2 ** i), share };
}

/** By its definition: a sum over every length, of w at the requests longer than that. */
function shareByDefinition(contexts: readonly number[], w: (left: number) => number): number {
  let wait = 0;
  let way = 0;
  for (let length = 0; length < Math.max(...contexts); length++) {
    const left = contexts.filter((context) => context > length).length;
    wait += Math.min(w(left), contexts.length - left);
    way += contexts.length - left;
  }
  return way === 0 ? 0 : wait / way;
}

describe('share', () => {
  it('is what was measured where a batch has the measured two lengths', () => {
    const tail = new DecodeTail([points(0, 4, 0.6, 0.2)]);
    expect(tail.share([100, 50, 50, 50], 4, 0)).toBeCloseTo(0.6, 12);
    expect(tail.longestContext).toBe(100);
    expect(tail.share([90, 50, 90, 50], 4, 0)).toBeCloseTo(0.2, 12);
    expect(tail.longestContext).toBe(90);
  });

  it('weighs lengths by the requests that ended before', () => {
    const tail = new DecodeTail([points(0, 4, 0.6, 0.2)]);
    // 3 left from 10 to 20, 2 from 20 to 50, 1 from 50 to 80; beyond 2 of 4 the last share holds.
    const wait = 10 * 1 * 0.2 + 30 * 2 * 0.2 + 30 * 3 * 0.6;
    expect(tail.share([20, 80, 10, 50], 4, 0)).toBeCloseTo(wait / (10 + 60 + 90), 12);
  });

  it('is nothing for equal decodes, for one, and without measurements', () => {
    const tail = new DecodeTail([points(0, 4, 0.6, 0.2)]);
    expect(tail.share([70, 70, 70, 70], 4, 0)).toBe(0);
    expect(tail.share([70], 1, 0)).toBe(0);
    expect(tail.share([100, 50], 2, 64)).toBe(0);
    expect(new DecodeTail([]).share([100, 50], 2, 0)).toBe(0);
  });

  it('is linear in the logarithms of count and chunk length, and continues at the ends', () => {
    const tail = new DecodeTail([
      points(256, 8, 0.1),
      points(16, 16, 0.5),
      points(16, 4, 0.3),
      points(0, 8, 0.9),
    ]);
    const share = (decodes: number, chunkTokens: number): number => {
      const contexts = Array.from({ length: decodes }, (_, i) => (i === 0 ? 100 : 10));
      return Math.round(tail.share(contexts, decodes, chunkTokens) * 1e6) / 1e6;
    };
    expect([2, 4, 8, 16, 500].map((decodes) => share(decodes, 16))).toEqual([
      0.9, 0.3, 0.6, 0.5, 0.01503,
    ]);
    expect([1, 16, 32, 64, 256, 2048].map((chunk) => share(8, chunk))).toEqual([
      0.6, 0.6, 0.475, 0.35, 0.1, 0.1,
    ]);
    expect(share(8, 0)).toBe(0.9);
  });

  it('does not mix counts that split contexts with those that do not, but beside a chunk', () => {
    const measured = [points(0, 32, 0), points(0, 64, 0.1), points(16, 32, 0), points(16, 64, 0.1)];
    const share = (tail: DecodeTail, decodes: number, chunkTokens: number): number => {
      const contexts = Array.from({ length: decodes }, (_, i) => (i === 0 ? 100 : 10));
      return tail.share(contexts, decodes, chunkTokens) * (decodes - 1);
    };
    const tail = new DecodeTail(measured, 37.6);
    expect(share(tail, 37, 0)).toBe(0);
    expect(share(tail, 38, 0)).toBeCloseTo(6.3, 9);
    const half = Math.round(Math.sqrt(32 * 64));
    const weight = Math.log(half / 32) / Math.log(2);
    expect(share(tail, half, 16)).toBeCloseTo(6.3 * weight, 9);
    expect(share(new DecodeTail(measured), half, 0)).toBeCloseTo(6.3 * weight, 9);
    // No count on that side was measured.
    expect(share(new DecodeTail(measured, 1000), 64, 0)).toBeCloseTo(6.3, 9);
    expect(share(new DecodeTail(measured, 16), 32, 0)).toBe(0);
  });

  it('follows its definition for any lengths', () => {
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
      minLength: 1,
      maxLength: 5,
    });
    const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(lengths, shares, (contexts, measured) => {
        const given = points(0, 32, ...measured);
        const waits = measured.map((share, i) => share * (32 - given.longest[i]));
        const w = (left: number): number => {
          if (left === 32) return 0;
          const above = given.longest.findIndex((count) => count >= left);
          if (above === -1) return measured[measured.length - 1] * (32 - left);
          if (above === 0) return waits[0];
          const [low, high] = [given.longest[above - 1], given.longest[above]];
          const weight = Math.log(left / low) / Math.log(high / low);
          return waits[above - 1] * (1 - weight) + waits[above] * weight;
        };
        const share = new DecodeTail([given]).share(contexts, 32, 0);
        expect(share).toBeCloseTo(shareByDefinition(contexts, w), 9);
        expect(share).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });
});

describe('measureTail', () => {
  /** Batches of `n` beside a chunk of `tokens`, which go `share(long)` of the way; 1 us to start. */
  function shots(n: number, tokens: number, measuredIn: number, share: (long: number) => number) {
    const builder = new ProfileTableBuilder();
    for (const long of [8, 1, 4, 2]) {
      for (const [short, longest] of [
        [128, 512],
        [1024, 4096],
      ]) {
        const mean = short + ((longest - short) * long) / n;
        const uniformNs = (context: number): number => measuredIn * (1000 + 10 * n * context);
        const wayNs = uniformNs(longest) - uniformNs(mean);
        builder.add({
          kind: 'skew',
          operator: 'attention',
          tp: 1,
          tokens,
          contextTokens: 0,
          sequences: n,
          decodeContextTokens: mean,
          decodeContextMin: short,
          decodeContextMax: longest,
          durationNs: Math.round(uniformNs(mean) + share(long) * wayNs),
          meanDurationNs: Math.round(uniformNs(mean)),
          maxDurationNs: Math.round(uniformNs(longest)),
        });
      }
    }
    return builder.build({
      hardware: 'H',
      model: 'M',
      dtype: 'bf16',
      source: 'test',
      measurement: 'kernel',
    });
  }

  it.each([1, 3])('finds the shares whatever the times were summed over (%i)', (measuredIn) => {
    const [found, ...others] = measureTail(
      skewShots(
        shots(32, 64, measuredIn, (long) => 1 / (1 + long)),
        1,
      ),
    );
    expect(others).toEqual([]);
    expect(found).toMatchObject({ chunkTokens: 64, decodes: 32, longest: [1, 2, 4, 8] });
    for (const [i, share] of found.share.entries()) {
      expect(share).toBeCloseTo(1 / (1 + found.longest[i]), 5);
    }
  });

  it('keeps shares within 0 and 1, and TP degrees apart', () => {
    const table = shots(16, 0, 1, (long) => (long > 2 ? -0.1 : 1.2));
    expect(measureTail(skewShots(table, 1))).toMatchObject([
      { chunkTokens: 0, share: [1, 1, 0, 0] },
    ]);
    expect(measureTail(skewShots(table, 2))).toEqual([]);
  });
});
