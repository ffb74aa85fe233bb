/** A run that was not of what was simulated does not pass for a fit. */
import { expect, test } from 'vitest';
import { doubtsOf } from './calibrate-command.js';

const overhead = (valueNs: number) => ({ valueNs, intervalNs: [valueNs, valueNs] as const });

test('a run faster than the model without overhead, and one slower than any overhead tried', () => {
  expect(doubtsOf({ tpotExcessPct: 0.9, stepOverhead: overhead(0) })).toEqual([]);
  expect(doubtsOf({ tpotExcessPct: 0, stepOverhead: overhead(5e6) })).toEqual([]);
  expect(doubtsOf({ tpotExcessPct: 12.34, stepOverhead: overhead(0) })).toEqual([
    'without any step overhead TPOT is still 12.3 % longer than measured: are profile, cluster and engine options those of the run?',
  ]);
  expect(doubtsOf({ tpotExcessPct: 0, stepOverhead: overhead(11.9e6) })).toEqual([
    expect.stringMatching(/^a step overhead of 11\.9 ms is beyond the 5 ms that were tried: /),
  ]);
});
