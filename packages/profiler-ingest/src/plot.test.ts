/** Goal: the picture shows where points lie. Method: a straight line in both logarithms. */
import { expect, test } from 'vitest';
import { plotSeries } from './plot.js';

test('corners and labels', () => {
  const lines = plotSeries('qkv_proj', [
    [1, 1000],
    [10, 10_000],
    [100, 100_000],
  ]);
  expect(lines[0]).toBe('qkv_proj');
  expect(lines[1]).toBe(`    100 us |${' '.repeat(71)}*`);
  expect(lines[16]).toBe('   1.00 us |*');
  expect(lines[17]).toBe(`            1${' '.repeat(68)}100`);
});
