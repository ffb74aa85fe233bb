/**
 * One to five requests, worked out by hand from the rules of vLLM's scheduler and loop, on a machine
 * where every step takes 10 ms: which tokens each step computes and when it may start, and when every
 * request has its first and its last token.
 */
import { nsPerMs } from '@astrolabe/base';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';

const ms = (value: number): number => value * nsPerMs;

const request = (
  id: number,
  arrivalMs: number,
  promptTokens: number,
  outputTokens: number,
  extra: Partial<Request> = {},
): Request => ({ id, arrivalNs: ms(arrivalMs), promptTokens, outputTokens, ...extra });

/** Blocks of 4 tokens; prefixes are found only where a test asks for them. */
const engine = { block_size: 4, enable_prefix_caching: false };

async function run(instance: object, requests: readonly Request[]) {
  const backend = new FixedMachine({ stepNs: ms(10) });
  const cluster = clusterOf([{ ...engine, ...instance }]);
  const result = await runFixed({ cluster, requests, backend });
  expect(result.engines[0].kv.pool.usedBlocks).toBe(0);
  const rows = requestResults(result);
  return {
    rows,
    /** Release in ms, then request:new+context tokens. */
    steps: backend.submitted.map(
      (step) =>
        `@${step.releaseNs / nsPerMs} ` +
        step.requests
          .map((index, i) => `${index}:${step.newTokens[i]}+${step.contextTokens[i]}`)
          .join(' '),
    ),
    /** First and last token of each request, ms. */
    tokens: rows.map((row) => [row.firstTokenNs, row.finishNs].map((at) => (at ?? -1) / nsPerMs)),
  };
}

describe('arrivals', () => {
  it('at one instant: the loop takes in all of them before it composes', async () => {
    const { steps, tokens } = await run({}, [request(0, 3, 8, 2), request(1, 3, 5, 1)]);
    expect(steps).toEqual(['@3 0:8+0 1:5+0', '@3 0:1+8']);
    expect(tokens).toEqual([
      [13, 23],
      [13, 13],
    ]);
  });

  it('at the instant a step ends: the next to be composed has it', async () => {
    const { steps } = await run({}, [request(0, 0, 4, 4), request(1, 10, 4, 1)]);
    expect(steps).toEqual(['@0 0:4+0', '@0 0:1+4', '@10 0:1+5 1:4+0', '@20 0:1+6']);
  });

  it('a call without think time comes too late for the step composed when its predecessor ends', async () => {
    const { steps, tokens } = await run({}, [
      request(0, 0, 4, 1),
      request(1, 0, 4, 5),
      request(2, 0, 4, 1, { after: [0], thinkNs: 0 }),
    ]);
    expect(steps).toEqual([
      '@0 0:4+0 1:4+0',
      '@0 1:1+4',
      '@10 1:1+5',
      '@20 1:1+6 2:4+0',
      '@30 1:1+7',
    ]);
    expect(tokens[2]).toEqual([40, 40]);
  });

  it('a call without think time starts at once where nothing else runs', async () => {
    const { tokens } = await run({}, [
      request(0, 0, 4, 1),
      request(1, 0, 4, 1, { after: [0], thinkNs: 0 }),
    ]);
    expect(tokens).toEqual([
      [10, 10],
      [20, 20],
    ]);
  });

  it('of one token, for one token', async () => {
    const { steps, tokens } = await run({}, [request(0, 0, 1, 1), request(1, 0, 1, 2)]);
    expect(steps).toEqual(['@0 0:1+0 1:1+0', '@0 1:1+1']);
    expect(tokens).toEqual([
      [10, 10],
      [10, 20],
    ]);
  });
});

describe('limits', () => {
  it('a prompt that ends exactly at the budget, and what is left beside a decode', async () => {
    const { steps, tokens } = await run({ max_num_batched_tokens: 8 }, [
      request(0, 0, 8, 2),
      request(1, 0, 8, 1),
    ]);
    expect(steps).toEqual(['@0 0:8+0', '@0 0:1+8 1:7+0', '@10 1:1+7']);
    expect(tokens).toEqual([
      [10, 20],
      [30, 30],
    ]);
  });

  it('a budget above the context holds several prompts', async () => {
    // The example model has a context of 8192 tokens.
    const limits = { max_num_batched_tokens: 16_384, kv_blocks: 4000 };
    const { steps } = await run(limits, [request(0, 0, 6000, 1), request(1, 0, 6000, 1)]);
    expect(steps).toEqual(['@0 0:6000+0 1:6000+0']);
  });

  it('without a budget a step holds the context', async () => {
    const limits = { max_num_batched_tokens: 0, kv_blocks: 4000 };
    const { steps } = await run(limits, [request(0, 0, 6000, 1), request(1, 0, 6000, 1)]);
    expect(steps).toEqual(['@0 0:6000+0 1:2192+0', '@0 1:3808+2192']);
  });

  it('every turnover leaves a seat idle for one batch', async () => {
    // Request 1 has its last token in the step of 10..20, composed at 0. At 10 it still holds its seat;
    // at 20 that is free, and the next step to be composed is that of 30.
    const { steps, tokens } = await run({ max_num_seqs: 2 }, [
      request(0, 0, 4, 9),
      request(1, 0, 4, 2),
      request(2, 0, 4, 1),
    ]);
    expect(steps.slice(0, 4)).toEqual([
      '@0 0:4+0 1:4+0',
      '@0 0:1+4 1:1+4',
      '@10 0:1+5',
      '@20 0:1+6 2:4+0',
    ]);
    expect(tokens.slice(1)).toEqual([
      [10, 20],
      [40, 40],
    ]);
  });

  it('the threshold caps every chunk, decodes and short prompts go beside', async () => {
    const limits = { max_num_batched_tokens: 10, long_prefill_token_threshold: 4 };
    const { steps, tokens } = await run({ ...limits, async_scheduling: false }, [
      request(0, 0, 9, 2),
      request(1, 0, 4, 3),
      request(2, 0, 6, 1),
    ]);
    expect(steps).toEqual([
      '@0 0:4+0 1:4+0 2:2+0',
      '@10 0:4+4 1:1+4 2:4+2',
      '@20 0:1+8 1:1+5',
      '@30 0:1+9',
    ]);
    expect(tokens).toEqual([
      [30, 40],
      [10, 30],
      [20, 20],
    ]);
  });

  it('with prompts kept whole the threshold still comes before the budget', async () => {
    const { steps } = await run(
      {
        max_num_batched_tokens: 10,
        long_prefill_token_threshold: 4,
        enable_chunked_prefill: false,
        async_scheduling: false,
      },
      [request(0, 0, 4, 1), request(1, 0, 9, 1)],
    );
    expect(steps).toEqual(['@0 0:4+0 1:4+0', '@10 1:4+4', '@20 1:1+8']);
  });
});

describe('preemption', () => {
  it('of all but requests whose last token is on its way: the engine waits for that', async () => {
    // 4 usable blocks, 2 each. At 0 request 1 needs a third: it preempts itself, nothing is left to
    // run, and the engine blocks on the first step. That brings both tokens and two free blocks.
    const { steps, tokens, rows } = await run({ kv_blocks: 5 }, [
      request(0, 0, 8, 1),
      request(1, 0, 8, 3),
    ]);
    expect(steps).toEqual(['@0 0:8+0 1:8+0', '@10 1:9+0', '@10 1:1+9']);
    expect(tokens).toEqual([
      [10, 10],
      [10, 30],
    ]);
    expect(rows[1].preemptions).toBe(1);
  });

  it('the youngest go, and stand before those who never ran, the older first', async () => {
    // 3 usable blocks, one each. At 10 every decode needs a second: 2 goes and 0 takes its block; then 1
    // is the youngest itself. At 30 request 0 ends: 1 needs two blocks for 5 tokens, 2 as many, so 2
    // waits, and 3 behind it, though one block is free.
    const { steps } = await run({ kv_blocks: 4, async_scheduling: false, max_num_seqs: 3 }, [
      request(0, 0, 4, 3),
      request(1, 0, 4, 2),
      request(2, 0, 4, 2),
      request(3, 0, 4, 1),
    ]);
    expect(steps).toEqual([
      '@0 0:4+0 1:4+0 2:4+0',
      '@10 0:1+4',
      '@20 0:1+5',
      '@30 1:5+0',
      '@40 2:5+0 3:4+0',
    ]);
  });

  it('in the step after which another one finishes', async () => {
    // 5 usable blocks: 0 and 1 hold 2 each; the decode of 0 takes the fifth, that of 1 finds none and
    // 1 goes. Its token of the first step still counts. 0 ends at 20 and frees 3: 9 tokens need 3.
    const { steps, tokens, rows } = await run({ kv_blocks: 6 }, [
      request(0, 0, 8, 2),
      request(1, 0, 8, 2),
    ]);
    expect(steps).toEqual(['@0 0:8+0 1:8+0', '@0 0:1+8', '@20 1:9+0']);
    expect(tokens).toEqual([
      [10, 20],
      [10, 30],
    ]);
    expect(rows[1].preemptions).toBe(1);
  });

  it('with its last token on its way a request ends from the queue', async () => {
    // 6 usable blocks: 3 + 2. At 0 request 0 goes on in its third, 1 takes the sixth for its last token.
    // At 10 request 0 needs a fourth: request 1, which holds three and has all in flight, is the youngest.
    const { rows, steps, tokens } = await run({ kv_blocks: 7 }, [
      request(0, 0, 11, 4),
      request(1, 0, 8, 2),
    ]);
    expect(steps).toEqual(['@0 0:11+0 1:8+0', '@0 0:1+11 1:1+8', '@10 0:1+12', '@20 0:1+13']);
    expect(tokens).toEqual([
      [10, 40],
      [10, 20],
    ]);
    expect(rows[1].preemptions).toBe(1);
  });
});

describe('prefix cache', () => {
  const caching = { enable_prefix_caching: true, async_scheduling: false };
  const twin = (tokens: number): Partial<Request> => ({ prefix: { of: 0, tokens } });

  it('a prompt that is there as a whole computes its last block again', async () => {
    const { steps, rows } = await run(caching, [
      request(0, 0, 8, 1),
      request(1, 50, 8, 1, twin(8)),
      request(2, 100, 9, 1, twin(8)),
      request(3, 150, 1, 1, twin(1)),
    ]);
    expect(steps).toEqual(['@0 0:8+0', '@50 1:4+4', '@100 2:1+8', '@150 3:1+0']);
    expect(rows.map((row) => row.prefixHitTokens)).toEqual([0, 4, 8, 0]);
  });

  it('prompts of one step find each other', async () => {
    const { steps } = await run(caching, [request(0, 0, 12, 1), request(1, 0, 12, 1, twin(12))]);
    expect(steps).toEqual(['@0 0:12+0 1:4+8']);
  });

  it('chunks are found up to where they have been scheduled', async () => {
    const { steps } = await run({ ...caching, max_num_batched_tokens: 10 }, [
      request(0, 0, 9, 1),
      request(1, 0, 20, 1, twin(9)),
    ]);
    // Request 1 finds 8 tokens and has one left in the budget.
    expect(steps).toEqual(['@0 0:9+0 1:1+8', '@10 1:10+9', '@20 1:1+19']);
  });

  it('a preempted request finds its own blocks as far as nobody took them', async () => {
    // As "in the step after which another one finishes", with the cache: 1 comes back at 20 and finds
    // both blocks of its prompt, whether the workload says what prompts hold or not.
    const instance = { ...caching, kv_blocks: 6, async_scheduling: true };
    for (const said of [{}, { prefix: { of: 0, tokens: 1 } }]) {
      const { steps } = await run(instance, [request(0, 0, 8, 2), request(1, 0, 8, 2, said)]);
      expect(steps).toEqual(['@0 0:8+0 1:8+0', '@0 0:1+8', '@20 1:1+8']);
    }
  });

  it('of its own blocks a preempted request loses the last to whom it made room for', async () => {
    // 5 usable blocks: 0 holds 2, 1 holds 3. At 10 request 0 needs a third: 1 goes, its last block first.
    // Request 0 ends at 20. 1 has 11 tokens then, and finds two blocks of 4.
    const { steps } = await run({ ...caching, kv_blocks: 6 }, [
      request(0, 0, 8, 2),
      request(1, 0, 10, 3),
    ]);
    expect(steps).toEqual(['@0 0:8+0 1:10+0', '@10 0:1+8', '@20 1:3+8', '@30 1:1+11']);
  });

  it('a token in flight is not found: its block is not full of known tokens', async () => {
    // 5 usable blocks: 0 holds 2, 1 holds 2 of which 7 tokens. Composed at 0: 0 takes the fifth, 1 fills
    // its second block. Composed at 10: 1 knows 8 tokens and needs a third block: it goes itself. At 20
    // it has 9 tokens; its eighth is computed, but was in flight when it went.
    const { steps } = await run({ ...caching, kv_blocks: 6, async_scheduling: true }, [
      request(0, 0, 8, 3),
      request(1, 0, 7, 4),
    ]);
    expect(steps).toEqual([
      '@0 0:8+0 1:7+0',
      '@0 0:1+8 1:1+7',
      '@10 0:1+9',
      '@30 1:5+4',
      '@30 1:1+9',
    ]);
  });
});
