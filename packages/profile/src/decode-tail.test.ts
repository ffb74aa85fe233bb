/** The wait for the longest decodes: measured from batches of two lengths, applied to any lengths. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeTail, measureTail, type TailPoints } from './decode-tail.js';
import { ProfileTableBuilder } from './profile-table.js';

const none: TailPoints = { decodes: [], saturating: [] };

function alone(saturating: number): DecodeTail {
  return new DecodeTail({ decodes: [4], saturating: [saturating] }, none);
}

/** Tokens that a batch takes more than its own, by its definition: an integral over lengths. */
function waitByDefinition(contexts: readonly number[], saturating: number): number {
  let tokens = 0;
  for (let length = 0; length < Math.max(...contexts); length++) {
    const longer = contexts.filter((context) => context > length).length;
    tokens += Math.max(0, saturating - longer);
  }
  return tokens;
}

describe('share', () => {
  it('is what the last requests leave of the bandwidth', () => {
    // 3 requests saturate: the two at 100 wait 1 request's worth from 50 to 100, of a way of 100.
    expect(alone(3).share([100, 50, 100, 50], 4, false)).toBeCloseTo(50 / 100, 12);
    expect(alone(3).share([70, 70, 70, 70], 4, false)).toBe(0);
    expect(alone(1).share([100, 50, 20, 10], 4, false)).toBe(0);
    expect(alone(3).share([100, 50, 100, 50], 4, true)).toBe(0);
  });

  it('follows its definition for any lengths', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 4, maxLength: 40 });
    fc.assert(
      fc.property(
        lengths,
        fc.double({ min: 1.01, max: 4, noNaN: true }),
        (contexts, saturating) => {
          const tail = alone(saturating);
          const share = tail.share(contexts, contexts.length, false);
          const longest = Math.max(...contexts);
          const way = contexts.reduce((sum, context) => sum + longest - context, 0);
          expect(share * way).toBeCloseTo(waitByDefinition(contexts, saturating), 6);
          if (share > 0) expect(tail.longestContext).toBe(longest);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('never takes a batch beyond all at the longest', () => {
    // More requests "saturate" than there are: they wait for the longest and no longer.
    expect(alone(50).share([100, 1], 2, false)).toBe(1);
  });
});

describe('measureTail', () => {
  /** Batches of `n`, timed by the model with S = 5: 10 ns a token, 1 us to start. */
  function shots(n: number, tokens: number, measuredIn: number) {
    const builder = new ProfileTableBuilder();
    for (const long of [1, 2, 4, 8]) {
      for (const [short, longest] of [
        [128, 512],
        [1024, 4096],
      ]) {
        const mean = short + ((longest - short) * long) / n;
        const uniformNs = (context: number): number => measuredIn * (1000 + 10 * n * context);
        const waitNs = measuredIn * 10 * (longest - short) * Math.max(0, 5 - long);
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
          durationNs: Math.round(uniformNs(mean) + waitNs),
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

  it.each([1, 3])('finds S whatever the times were summed over (%i)', (measuredIn) => {
    const { alone: found, mixed } = measureTail(shots(32, 0, measuredIn), 1);
    expect(found.decodes).toEqual([32]);
    expect(found.saturating[0]).toBeCloseTo(5, 3);
    expect(mixed.decodes).toEqual([]);
  });

  it('tells batches with a chunk from those without', () => {
    const { alone: found, mixed } = measureTail(shots(16, 64, 1), 1);
    expect(found.decodes).toEqual([]);
    expect(mixed.saturating[0]).toBeCloseTo(5, 3);
    expect(measureTail(shots(16, 64, 1), 2).mixed.decodes).toEqual([]);
  });
});
