/** Times of experts by hand, on a profile of 7 ns a token and 1000 ns an expert. */
import { expertOptionsSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { Batch } from './batch.js';
import { exampleLatency } from './example-latency.test-helper.js';
import { ExpertLoads } from './moe/expert-loads.js';
import { evaluate, type Step } from './quantities.js';

/** 16 experts of which a token picks 4, dealt in turns. */
function step(tokens: number, ranks: number, slices: number): Step {
  const moe = { numExperts: 16, expertsPerToken: 4, intermediateSize: 8 };
  const options = expertOptionsSchema.parse({ routing: 'round_robin' });
  const batch = new Batch();
  batch.groupTokens = tokens;
  return {
    batch,
    latency: exampleLatency([]),
    tp: 1,
    warmUpNs: 0,
    experts: {
      loads: new ExpertLoads(options, moe, 1, ranks),
      expertsPerToken: 4,
      slices,
      expertBytes: 600,
    },
    kvSends: [],
    draw: { group: 0, wave: 0 },
  };
}

const block = (rank: number) => ({ kind: 'moe', rank, layer: 0 }) as const;

describe('a block of experts', () => {
  it('takes the tokens and experts of its rank', () => {
    // Six tokens: 24 pairs, two for the first eight experts, one for the others.
    expect(evaluate(block(0), step(6, 1, 1))).toBe(7 * 6 + 1000 * 16);
    expect(evaluate(block(0), step(6, 2, 1))).toBe(7 * 4 + 1000 * 8);
    expect(evaluate(block(1), step(6, 2, 1))).toBe(7 * 2 + 1000 * 8);
  });

  it('sliced, as much of fewer; below what a token picks, a share of that', () => {
    expect(evaluate(block(0), step(6, 1, 2))).toBe(7 * 3 + 1000 * 8);
    // One token on two ranks: four experts, all on the first. In 4 slices it is one expert's worth:
    // a quarter of 4002 ns, which four experts and a quarter of a token take.
    expect(evaluate(block(0), step(1, 2, 4))).toBe(1001);
    expect(evaluate(block(1), step(1, 2, 4))).toBe(0);
  });
});
