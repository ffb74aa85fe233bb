/** Who kept the first waiting request out of a step, one cause a step. */
import { resolveEngine } from '@astrolabe/config';
import { expect, it } from 'vitest';
import { RequestState } from '../request-state.js';
import { type Batch, emptyBatch } from './batch.js';
import { KeptOut } from './kept-out.js';

const some = { isAnyWaiting: true, numRunning: 1, preempted: false };

function countOf(tokens: number, step: Partial<typeof some>): Partial<KeptOut> {
  const keptOut = new KeptOut(
    resolveEngine('bfloat16', { max_num_seqs: 4, max_num_batched_tokens: 100 }),
  );
  const batch: Batch = emptyBatch();
  if (tokens > 0) {
    batch.requests.push(new RequestState(0, tokens, 1, 0));
    batch.newTokens.push(tokens);
  }
  const { isAnyWaiting, numRunning, preempted } = { ...some, ...step };
  keptOut.count(batch, isAnyWaiting, numRunning, preempted);
  const { steps, kv, seats, budget } = keptOut;
  return { steps, kv, seats, budget };
}

it.each([
  ['blocks, where neither budget nor seats are used up', 99, { numRunning: 3 }, 'kv'],
  ['seats', 99, { numRunning: 4 }, 'seats'],
  ['the budget, before seats', 100, { numRunning: 4 }, 'budget'],
  ['blocks, before all, where somebody lost theirs', 100, { numRunning: 4, preempted: true }, 'kv'],
] as const)('%s', (_, tokens, step, cause) => {
  expect(countOf(tokens, step)).toEqual({ steps: 1, kv: 0, seats: 0, budget: 0, [cause]: 1 });
});

it('nobody, where none waits; an empty step is none', () => {
  const none = { kv: 0, seats: 0, budget: 0 };
  expect(countOf(100, { isAnyWaiting: false })).toEqual({ steps: 1, ...none });
  expect(countOf(0, {})).toEqual({ steps: 0, ...none });
});
