/** Seeded randomness: repeatable, independent per purpose, right in the mean. */
import { describe, expect, it } from 'vitest';
import { Random } from './random.js';

const mean = (count: number, draw: () => number): number => {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += draw();
  return sum / count;
};

describe('Random', () => {
  it('repeats for the same seed and purpose, differs otherwise', () => {
    const draw = (seed: number, purpose: string): number[] => {
      const random = new Random(seed, purpose);
      return [random.uint32(), random.uint32(), random.uint32()];
    };
    expect(draw(1, 'a')).toEqual(draw(1, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'));
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'));
  });

  it('has the distributions it names', () => {
    const random = new Random(7, 'test');
    expect(mean(50_000, () => random.uniform())).toBeCloseTo(0.5, 2);
    expect(mean(50_000, () => random.exponential(3))).toBeCloseTo(3, 1);
    expect(mean(50_000, () => random.gamma(0.5, 4))).toBeCloseTo(2, 1);
    expect(mean(50_000, () => random.normal())).toBeCloseTo(0, 1);
  });
});
