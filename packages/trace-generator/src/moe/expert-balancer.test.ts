/** When experts move, and which steps' loads decide it. */
import { expertBalancingSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { ExpertBalancer } from './expert-balancer.js';

const linear = [0, 1, 2, 3, 0, 1];

function balancer(
  step_interval: number,
  window_size: number,
  expected?: (layer: number) => readonly number[],
): ExpertBalancer {
  return new ExpertBalancer({
    balancing: expertBalancingSchema.parse({
      num_redundant_experts: 2,
      step_interval,
      window_size,
    }),
    numExperts: 4,
    ranks: 2,
    numLayers: 2,
    expected,
  });
}

const slots = (one: ExpertBalancer, step: number, layer = 0): number[] => [
  ...one.placement(step, layer).experts,
];

describe('rearrangements', () => {
  it('come every interval, first after a quarter of it', () => {
    const one = balancer(8, 100);
    const steps = Array.from({ length: 19 }, (_, step) => one.rearrangements(step));
    expect(steps).toEqual([0, 0, ...new Array(8).fill(1), ...new Array(8).fill(2), 3]);
    expect([0, 1, 2].map((step) => balancer(1, 1).rearrangements(step))).toEqual([0, 1, 2]);
  });

  it('place known loads once, by layer', () => {
    const one = balancer(8, 100, (layer) => (layer === 0 ? [12, 7, 3, 2] : [2, 3, 12, 7]));
    expect(slots(one, 1)).toEqual(linear);
    expect(slots(one, 2)).toEqual([0, 1, 2, 0, 1, 3]);
    expect(slots(one, 2, 1)).toEqual([2, 3, 1, 2, 3, 0]);
    expect([1, 2, 3, 10].map((step) => one.moved(step, 1))).toEqual([0, 1, 0, 0]);
    expect(one.moved(2, 0)).toBe(0);
  });

  it('answers for a later step alone as in a whole run', () => {
    const one = balancer(8, 100, () => [2, 3, 12, 7]);
    expect(one.moved(10, 0)).toBe(0);
    expect(slots(one, 10)).toEqual([2, 3, 1, 2, 3, 0]);
  });
});

describe('loads that are seen', () => {
  it('count within the window before a rearrangement only', () => {
    const one = balancer(8, 3);
    for (let step = 2; step < 10; step++) {
      expect(slots(one, step)).toEqual(linear);
      one.record(step, 0, step < 7 ? [100, 100, 0, 0] : [2, 3, 12, 7]);
    }
    expect(one.moved(10, 0)).toBe(1);
    expect(slots(one, 10)).toEqual([2, 3, 1, 2, 3, 0]);
    expect(one.moved(11, 0)).toBe(0);
  });

  it('count in every window that they fall in', () => {
    const one = balancer(4, 9);
    one.record(0, 0, [2, 3, 12, 7]);
    // The windows before steps 1, 5 and 9 have step 0 in them, that before 13 has not.
    expect(slots(one, 1)).toEqual([2, 3, 1, 2, 3, 0]);
    expect(slots(one, 5)).toEqual([2, 3, 1, 2, 3, 0]);
    one.record(5, 0, [1200, 700, 300, 200]);
    expect(slots(one, 9)).toEqual([0, 1, 2, 0, 1, 3]);
    expect(one.moved(9, 0)).toBe(1);
  });

  it('that nobody saw move nothing', () => {
    const one = balancer(8, 3);
    expect(one.moved(2, 0)).toBe(0);
    expect(slots(one, 2)).toEqual(linear);
  });
});
