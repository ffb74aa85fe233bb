/** Goal: a flag is called idle exactly when the cluster has nothing that reads it. */
import { expect, test } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
import { idleFlags } from './idle-flags.js';
import type { ServingOptions } from './options.js';

const options = {
  flags: { speculative_acceptance: 0.5, speculative_draft_ns: 9, bucket_padding_gap: 64 },
  decodeRouting: 'random',
} as unknown as ServingOptions;

test.each([
  [
    {},
    [
      '--speculative-acceptance',
      '--speculative-draft-ms',
      '--bucket-padding-gap',
      '--decode-routing-policy',
    ],
  ],
  [{ speculative_tokens: 2 }, ['--bucket-padding-gap', '--decode-routing-policy']],
  [{ speculative_tokens: 2, batch_padding: 'buckets' }, ['--decode-routing-policy']],
])('%j', (instance, idle) => {
  const notes = idleFlags(options, clusterOf([instance]));
  expect(notes.map((note) => note.split(' ')[0])).toEqual(idle);
  const pair = [{ pd_type: 'prefill' }, { pd_type: 'decode' }];
  const disaggregated = clusterOf(pair.map((one) => ({ ...instance, ...one })));
  expect(idleFlags(options, disaggregated).length).toBe(idle.length - 1);
  expect(idleFlags({ ...options, flags: {}, decodeRouting: undefined }, clusterOf([{}]))).toEqual(
    [],
  );
});
