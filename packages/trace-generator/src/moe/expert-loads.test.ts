/** Expected experts by hand; drawn and skewed loads by their invariants. */
import { type ExpertSettings, expertOptionsSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { ExpertLoads } from './expert-loads.js';
import { sharesOf } from './expert-shares.js';
import { distinctRanks } from './lower-experts.js';

const moe = { numExperts: 128, expertsPerToken: 8, intermediateSize: 768 };
const draw = { group: 0, wave: 5 };

function loads(settings: ExpertSettings, ranks = 1, shape = moe): ExpertLoads {
  return new ExpertLoads(expertOptionsSchema.parse(settings), shape, 4, ranks);
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

describe('uniform routing', () => {
  it('expects 51.6 of 128 experts for 8 tokens and 82.4 for 16 (128 (1 - (15/16)^T))', () => {
    const uniform = loads({});
    expect(uniform.layer(8, 0, draw).activated[0]).toBeCloseTo(51.62, 2);
    expect(uniform.layer(16, 0, draw).activated[0]).toBeCloseTo(82.42, 2);
    expect(uniform.layer(16, 0, draw).pairs[0]).toBe(128);
  });

  it('halves both over two ranks', () => {
    const { pairs, activated } = loads({}, 2).layer(16, 0, draw);
    expect([...pairs]).toEqual([64, 64]);
    expect(activated[0]).toBeCloseTo(41.21, 2);
  });
});

describe('other routings', () => {
  it('counts pigeonholes when proportional', () => {
    const { activated } = loads({ routing: 'proportional' }, 2).layer(8, 0, draw);
    expect([...activated]).toEqual([32, 32]);
  });

  it('deals round robin exactly: 3 tokens x 8 of 16 experts', () => {
    const shape = { ...moe, numExperts: 16 };
    const { pairs, activated } = loads({ routing: 'round_robin' }, 2, shape).layer(3, 0, draw);
    // 24 pairs: experts 0..7 get two, 8..15 one.
    expect([...pairs]).toEqual([16, 8]);
    expect([...activated]).toEqual([8, 8]);
  });

  it('draws as many pairs as there are, the same for the same seed, others for another wave', () => {
    const random = loads({ routing: 'random', seed: 7 }, 4);
    const first = random.layer(16, 0, draw);
    expect(total(first.pairs)).toBe(128);
    expect(total(first.activated)).toBeLessThanOrEqual(128);
    const again = loads({ routing: 'random', seed: 7 }, 4).layer(16, 0, draw);
    expect([...again.pairs]).toEqual([...first.pairs]);
    // Another part of the same step's batch.
    expect(total(random.layer(32, 0, draw).pairs)).toBe(256);
    expect([...random.layer(16, 0, draw).pairs]).toEqual([...first.pairs]);
    const layers = [0, 1, 2, 3].map((layer) => [...random.layer(16, layer, draw).pairs].join());
    expect(new Set(layers).size).toBeGreaterThan(1);
    const many = random.layer(2000, 0, { group: 0, wave: 6 });
    expect(total(many.pairs)).toBeGreaterThan(15_500);
    expect(total(many.pairs)).toBeLessThan(16_500);
  });

  it('draws different experts for each token', () => {
    const shape = { ...moe, numExperts: 16 };
    const random = loads({ routing: 'random', seed: 7 }, 16, shape);
    for (let wave = 0; wave < 20; wave++) {
      const { pairs } = random.layer(1, 0, { group: 0, wave });
      expect([...pairs].sort()).toEqual([...Array(8).fill(0), ...Array(8).fill(1)]);
    }
  });

  it('makes some ranks hot under zipf, and none at exponent 0', () => {
    const skewed = loads({ routing: 'zipf', zipf_exponent: 1 }, 4).layer(64, 0, draw);
    expect(total(skewed.pairs)).toBeCloseTo(512, 6);
    expect(Math.max(...skewed.pairs)).toBeGreaterThan(140);
    const flat = loads({ routing: 'zipf', zipf_exponent: 0 }, 4).layer(64, 0, draw);
    const uniform = loads({}, 4).layer(64, 0, draw);
    flat.activated.forEach((value, rank) => {
      expect(value).toBeCloseTo(uniform.activated[rank], 9);
    });
  });

  it("asks a user's function and checks its answer", () => {
    const shape = { numExperts: 4, expertsPerToken: 1, intermediateSize: 8 };
    const options = expertOptionsSchema.parse({ routing: 'module' });
    const ask = (counts: readonly number[]) =>
      new ExpertLoads(options, shape, 4, 2, ({ tokens, layer, step }) => {
        expect([tokens, layer, step]).toEqual([8, 2, 5]);
        return counts;
      }).layer(8, 2, draw);
    expect([...ask([5, 0, 2, 1]).pairs]).toEqual([5, 3]);
    expect([...ask([5, 0, 2, 1]).activated]).toEqual([1, 2]);
    expect(() => ask([5, 0, 2])).toThrow('layer 2: the expert router');
    expect(() => ask([9, 0, 0, -1])).toThrow('sum to 8: expected 4 of 0 to 8');
    expect(() => new ExpertLoads(options, shape, 4, 2)).toThrow('needs a module');
  });

  it('reads loads per layer and refuses ones that do not fit', () => {
    const shape = { numExperts: 4, expertsPerToken: 1, intermediateSize: 8 };
    const file = loads({ routing: 'file', loads: [[3, 1, 0, 0]] }, 2, shape);
    expect([...file.layer(8, 2, draw).pairs]).toEqual([8, 0]);
    const short: ExpertSettings = { routing: 'file', loads: [[1, 1]] };
    expect(() => loads(short, 1, shape)).toThrow('layer 0 have 2 entries, the model has 4');
    expect(() => loads({ routing: 'file' }, 1, shape)).toThrow('needs loads');
  });
});

describe('load balancing', () => {
  const before = { group: 0, wave: 749 };
  const after = { group: 0, wave: 750 };
  const routings: ExpertSettings[] = [
    { routing: 'uniform' },
    { routing: 'round_robin' },
    { routing: 'random' },
    { routing: 'zipf' },
  ];

  it.each(routings)(
    'conserves pairs, before the first rearrangement and behind it: %o',
    (settings) => {
      const plain = loads(settings, 4);
      const balanced = loads({ ...settings, eplb: { num_redundant_experts: 8 } }, 4);
      for (const at of [before, after]) {
        const { pairs, activated } = balanced.layer(16, 1, at);
        expect(total(pairs)).toBeCloseTo(total(plain.layer(16, 1, at).pairs), 9);
        for (const rank of activated) expect(rank).toBeLessThanOrEqual((128 + 8) / 4);
      }
      expect(balanced.ranksDiffer).toBe(true);
    },
  );

  it('changes at step 750 by default, and then spreads pairs evenly', () => {
    const balanced = loads({ routing: 'zipf', eplb: { num_redundant_experts: 8 } }, 4);
    const spread = (at: typeof before): number => {
      const { pairs } = balanced.layer(64, 2, at);
      return (Math.max(...pairs) * 4) / total(pairs);
    };
    expect(spread(before)).toBeGreaterThan(1.1);
    expect(spread(after)).toBeLessThan(1.01);
    expect(balanced.moved(2, before)).toBe(0);
    expect(balanced.moved(2, after)).toBeGreaterThan(8);
    expect(balanced.moved(2, { ...after, wave: 3750 })).toBe(0);
  });

  it('activates physical experts: a replica reads weights of its own', () => {
    const shape = { numExperts: 4, expertsPerToken: 1, intermediateSize: 8 };
    const settings: ExpertSettings = {
      routing: 'file',
      loads: [[12, 7, 3, 2]],
      eplb: { num_redundant_experts: 2 },
    };
    // 0 1 2 | 0 1 3 with 12.5 and 11.5 of 24; each replica is missed with (1 - share / 2)^T.
    const { pairs, activated } = loads(settings, 2, shape).layer(24, 0, after);
    expect(pairs[0]).toBeCloseTo(12.5, 9);
    expect(pairs[1]).toBeCloseTo(11.5, 9);
    const hit = (share: number): number => 1 - (1 - share / 24) ** 24;
    expect(activated[0]).toBeCloseTo(hit(6) + hit(3.5) + hit(3), 9);
    expect(activated[1]).toBeCloseTo(hit(6) + hit(3.5) + hit(2), 9);
  });

  it("places by what a user's function said, and splits counts over replicas", () => {
    const shape = { numExperts: 4, expertsPerToken: 1, intermediateSize: 8 };
    const options = expertOptionsSchema.parse({
      routing: 'module',
      eplb: { num_redundant_experts: 2, step_interval: 8, window_size: 1 },
    });
    const balanced = new ExpertLoads(options, shape, 1, 2, ({ step }) =>
      step === 2 ? [1, 7, 0, 0] : [12, 7, 3, 2],
    );
    const at = (wave: number) => balanced.layer(wave === 2 ? 8 : 24, 0, { group: 0, wave });
    // Linear: 0 1 2 | 3 0 1.
    expect([...at(0).pairs]).toEqual([12.5, 11.5]);
    at(1);
    // 0 1 2 | 0 1 3: one token leaves one of two replicas idle.
    expect([...at(2).pairs]).toEqual([4, 4]);
    expect([...at(2).activated]).toEqual([1.5, 1.5]);
  });
});

describe('shares', () => {
  it('never exceed one pick per token: what is over goes to the others', () => {
    expect([...sharesOf([8, 1, 1], 2)]).toEqual([1, 0.5, 0.5]);
    expect(() => sharesOf([1, 0, 0], 2)).toThrow('fewer have a load');
  });
});

describe('distinct ranks', () => {
  it('counts ranks that hold one of k different experts', () => {
    // Two picks of four experts on two ranks: both on the same rank with probability 1/3.
    expect(distinctRanks(4, 2, 2)).toBeCloseTo(2 * (1 - (2 / 4) * (1 / 3)), 12);
    expect(distinctRanks(8, 8, 2)).toBeCloseTo(2, 12);
  });
});
