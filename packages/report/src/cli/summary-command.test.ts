/** Goal: a summary that lacks what its text is made of is the file's fault; other errors stay ours. */
import { expect, test } from 'vitest';
import { rendered } from './summary-command.js';

test('what is missing in a summary names its file', () => {
  const summary = { ttftMs: null as unknown as { mean: number } };
  expect(() => rendered('run/summary.json', () => summary.ttftMs.mean.toFixed(2))).toThrow(
    'run/summary.json: lacks, or has in another form, what this version writes',
  );
  expect(rendered('run/summary.json', () => 'text')).toBe('text');
  const bug = (): string => {
    throw new Error('assertion failed');
  };
  expect(() => rendered('run/summary.json', bug)).toThrow('assertion failed');
});
