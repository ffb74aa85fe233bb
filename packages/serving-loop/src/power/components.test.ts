/** Energy over intervals: each has what was drawn in it, and all of them together everything. */
import { nsPerS } from '@astrolabe/base';
import { describe, expect, it } from 'vitest';
import { EnergySeries, sumJoules } from './components.js';

const accelerator = (series: EnergySeries): number[] =>
  Array.from({ length: series.numIntervals }, (_, i) => series.interval(i).accelerator);

describe('EnergySeries', () => {
  it('spreads energy evenly over time, not over intervals', () => {
    const series = new EnergySeries(10);
    series.add('accelerator', 8, 28, 100);
    expect(accelerator(series)).toEqual([10, 50, 40]);
    expect(series.total().accelerator).toBe(100);
  });

  it('ends with its span: nothing in an interval that begins there', () => {
    const series = new EnergySeries(10);
    series.add('accelerator', 0, 20, 4);
    expect(accelerator(series)).toEqual([2, 2]);
  });

  it('puts what takes no time at its instant', () => {
    const series = new EnergySeries(10);
    series.add('accelerator', 20, 20, 7);
    expect(accelerator(series)).toEqual([0, 0, 7]);
  });

  it('adds up constant power, components and other series', () => {
    const series = new EnergySeries(nsPerS);
    series.draw('base', 0, 1.5 * nsPerS, 100);
    const other = new EnergySeries(nsPerS);
    other.draw('cpu', nsPerS, 3 * nsPerS, 10);
    series.merge(other);
    expect([0, 1, 2, 3].map((i) => sumJoules(series.interval(i)))).toEqual([100, 60, 10, 0]);
    expect(series.total()).toMatchObject({ base: 150, cpu: 20, accelerator: 0 });
  });
});
