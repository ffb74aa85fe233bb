/** Where a run is shorter than its measurement, or longer. */
import { expect, it } from 'vitest';
import { held } from './series-errors.js';

it('the last state holds until the measurement ends; what is beyond it does not count', () => {
  expect(held([1, 5], 4)).toEqual([1, 5, 5, 5]);
  expect(held([1, 5, 7], 2)).toEqual([1, 5]);
  expect(held([], 2)).toEqual([0, 0]);
});
