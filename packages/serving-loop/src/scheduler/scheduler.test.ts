/** The scheduler's decisions, step by step, on batches small enough to work out by hand. */
import { type EngineOptions, resolveEngine } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { KvCacheManager } from '../kv/kv-cache-manager.js';
import { RequestState } from '../request-state.js';
import type { Batch } from './batch.js';
import { Scheduler } from './scheduler.js';

interface Setup {
  scheduler: Scheduler;
  kv: KvCacheManager;
}

function setup(
  overrides: Partial<EngineOptions>,
  { numBlocks = 100, decodeAhead = false } = {},
): Setup {
  const options = { ...resolveEngine('bfloat16'), blockSize: 4, ...overrides };
  const kv = new KvCacheManager({
    numBlocks,
    blockSize: options.blockSize,
    prefixCaching: options.enablePrefixCaching,
  });
  return { scheduler: new Scheduler(options, kv, decodeAhead), kv };
}

const shape = (batch: Batch): string =>
  batch.requests
    .map((request, i) => `${request.index}:${batch.newTokens[i]}+${batch.contextTokens[i]}`)
    .join(' ');

const ignore = (): void => {};

describe('Scheduler', () => {
  it('splits a prompt over the token budget and gives decodes their token first', () => {
    const { scheduler } = setup({ maxNumBatchedTokens: 8 });
    scheduler.add(new RequestState(0, 5, 4, 0));
    scheduler.add(new RequestState(1, 10, 2, 0));
    const first = scheduler.schedule(0);
    expect(shape(first)).toBe('0:5+0 1:3+0');
    expect(first.samples).toEqual([true, false]);
    scheduler.update(first, 10, ignore);
    const second = scheduler.schedule(10);
    expect(shape(second)).toBe('0:1+5 1:7+3');
    expect(second.samples).toEqual([true, true]);
  });

  it('respects the number of seats', () => {
    const { scheduler } = setup({ maxNumSeqs: 1 });
    scheduler.add(new RequestState(0, 4, 1, 0));
    scheduler.add(new RequestState(1, 4, 1, 0));
    const first = scheduler.schedule(0);
    expect(shape(first)).toBe('0:4+0');
    const done: number[] = [];
    scheduler.update(first, 5, (request) => done.push(request.index));
    expect(done).toEqual([0]);
    expect(shape(scheduler.schedule(5))).toBe('1:4+0');
  });

  it('composes ahead: a decode is scheduled while its predecessor runs, never past the end', () => {
    const { scheduler } = setup({}, { decodeAhead: true });
    scheduler.add(new RequestState(0, 4, 2, 0));
    const first = scheduler.schedule(0);
    const second = scheduler.schedule(0);
    expect([shape(first), shape(second)]).toEqual(['0:4+0', '0:1+4']);
    scheduler.update(first, 5, ignore);
    // Both output tokens are there or in flight: the seat is kept, nothing is computed.
    expect(scheduler.schedule(5).requests).toHaveLength(0);
    expect(scheduler.running).toHaveLength(1);
    scheduler.update(second, 9, ignore);
    expect(scheduler.running).toHaveLength(0);
  });

  it('preempts from the tail and recomputes', () => {
    // 7 usable blocks of 4 tokens; two prompts of 12 take 3 blocks each.
    const { scheduler, kv } = setup({ enablePrefixCaching: false }, { numBlocks: 8 });
    scheduler.add(new RequestState(0, 12, 8, 0));
    scheduler.add(new RequestState(1, 12, 8, 0));
    scheduler.update(scheduler.schedule(0), 1, ignore);
    // Both need a fourth block; one is left, so the second request goes.
    const batch = scheduler.schedule(1);
    expect(shape(batch)).toBe('0:1+12');
    expect(scheduler.preemptions).toBe(1);
    expect(scheduler.waiting.map((request) => request.index)).toEqual([1]);
    expect(kv.pool.usedBlocks).toBe(4);
    scheduler.update(batch, 2, ignore);
    // 13 known tokens need 4 blocks, 3 are free: it waits, no token is lost.
    expect(shape(scheduler.schedule(2))).toBe('0:1+13');
    expect(scheduler.waiting[0].numTokens).toBe(13);
  });

  it('admits nobody in a step that preempted', () => {
    const options = { enablePrefixCaching: false, schedulingPolicy: 'priority' } as const;
    const { scheduler, kv } = setup(options, { numBlocks: 8 });
    const requests = [12, 12, 4].map((promptTokens, i) => new RequestState(i, promptTokens, 8, 0));
    requests[1].priority = 2;
    requests[2].priority = 1;
    scheduler.add(requests[0]);
    scheduler.add(requests[1]);
    scheduler.update(scheduler.schedule(0), 1, ignore);
    // The third would go first, and it would fit once the second has gone.
    scheduler.add(requests[2]);
    expect(shape(scheduler.schedule(1))).toBe('0:1+12');
    expect(scheduler.waiting.map((request) => request.index)).toEqual([2, 1]);
    expect(kv.pool.freeBlocks).toBe(3);
  });

  it('gives the tokens of a victim that this step has scheduled back to the budget', () => {
    const { scheduler } = setup(
      {
        blockSize: 1,
        enablePrefixCaching: false,
        schedulingPolicy: 'priority',
        maxNumBatchedTokens: 2,
      },
      { numBlocks: 7 },
    );
    const requests = [2, 1, 1].map((promptTokens, i) => new RequestState(i, promptTokens, 8, 0));
    requests.forEach((request, i) => {
      request.priority = 9 - i;
    });
    scheduler.add(requests[0]);
    scheduler.update(scheduler.schedule(0), 1, ignore);
    scheduler.add(requests[1]);
    const first = scheduler.schedule(1);
    expect(shape(first)).toBe('0:1+2 1:1+0');
    // Both wait for their tokens, so there is a budget for the third.
    scheduler.add(requests[2]);
    const second = scheduler.schedule(1);
    expect(shape(second)).toBe('2:1+0');
    scheduler.update(first, 2, ignore);
    scheduler.update(second, 3, ignore);
    // The first takes the last block and a token; the second's block costs it both.
    expect(shape(scheduler.schedule(3))).toBe('1:1+1 2:1+1');
    expect(requests[0].preemptions).toBe(1);
  });

  it('caps the chunks of a long prompt, not what is left of the budget', () => {
    const { scheduler } = setup({ maxNumBatchedTokens: 16, longPrefillTokenThreshold: 5 });
    scheduler.add(new RequestState(0, 12, 1, 0));
    scheduler.add(new RequestState(1, 12, 1, 0));
    const first = scheduler.schedule(0);
    expect(shape(first)).toBe('0:5+0 1:5+0');
    scheduler.update(first, 1, ignore);
    expect(shape(scheduler.schedule(1))).toBe('0:5+5 1:5+5');
  });

  it('admits a prompt only if all of it fits', () => {
    const { scheduler } = setup({ maxNumBatchedTokens: 4 }, { numBlocks: 4 });
    scheduler.add(new RequestState(0, 16, 1, 0));
    expect(scheduler.schedule(0).requests).toHaveLength(0);
    const { scheduler: eager } = setup(
      { maxNumBatchedTokens: 4, reserveFullIsl: false },
      { numBlocks: 4 },
    );
    eager.add(new RequestState(0, 16, 1, 0));
    expect(shape(eager.schedule(0))).toBe('0:4+0');
  });

  it('hits the prefix of an earlier request, but always computes the last token', () => {
    const { scheduler } = setup({});
    const contents = Int32Array.of(0, 1, 2);
    const first = new RequestState(0, 12, 1, 0);
    const second = new RequestState(1, 12, 1, 0);
    first.blockContents = contents;
    second.blockContents = contents;
    scheduler.add(first);
    scheduler.add(second);
    const batch = scheduler.schedule(0);
    // Prompt blocks are findable from the moment they are scheduled; 12 tokens hit at most 8.
    expect(shape(batch)).toBe('0:12+0 1:4+8');
    expect(second.prefixHitTokens).toBe(8);
  });

  it('composing ahead, a block is findable when its tokens are known and computed', () => {
    const { scheduler, kv } = setup({}, { decodeAhead: true });
    const first = new RequestState(0, 3, 2, 0);
    first.blockContents = Int32Array.of(0, 1);
    scheduler.add(first);
    const prompt = scheduler.schedule(0);
    scheduler.schedule(0);
    scheduler.update(prompt, 1, ignore);
    // The fourth token is known; the step that computes its KV is still on its way.
    const other = new RequestState(1, 8, 1, 0);
    other.blockContents = Int32Array.of(0, 1);
    expect(kv.findComputedTokens(other)).toBe(0);
  });

  it('requests whose KV has come go in order of their reservations, before all others', () => {
    const { scheduler } = setup({ maxNumSeqs: 1 });
    const [busy, first, second, other] = [0, 1, 2, 3].map((i) => new RequestState(i, 4, 2, 0));
    scheduler.add(first);
    scheduler.add(second);
    first.needsRemoteKv = true;
    second.needsRemoteKv = true;
    scheduler.add(busy);
    scheduler.add(other);
    const running = scheduler.schedule(0);
    expect(shape(running)).toBe('0:4+0');
    expect(scheduler.takeReservations().map(({ request }) => request)).toEqual([first, second]);
    scheduler.kvReady(second, 3);
    scheduler.update(running, 1, ignore);
    expect(shape(scheduler.schedule(1))).toBe('0:1+4');
    scheduler.kvReady(first, 3);
    scheduler.abort(busy);
    const next = scheduler.schedule(2);
    expect(shape(next)).toBe('1:1+3');
    scheduler.abort(first);
    expect(shape(scheduler.schedule(3))).toBe('2:1+3');
    scheduler.abort(second);
    expect(shape(scheduler.schedule(4))).toBe('3:4+0');
  });

  describe('with speculation', () => {
    const speculation = { tokens: 3, acceptance: 1, draftNs: 0 };

    it('drafts no more than the budget holds beside the token itself', () => {
      const { scheduler } = setup({ speculation, maxNumBatchedTokens: 3 });
      scheduler.add(new RequestState(0, 3, 9, 0));
      scheduler.update(scheduler.schedule(0), 1, ignore);
      const batch = scheduler.schedule(1);
      expect(shape(batch)).toBe('0:3+3');
      expect(batch.drafts).toEqual([2]);
    });

    it('drafts that were rejected count for nothing once a preemption has forgotten all', () => {
      const rejecting = { ...speculation, acceptance: 0 };
      const { scheduler } = setup(
        { speculation: rejecting, enablePrefixCaching: false, schedulingPolicy: 'priority' },
        { numBlocks: 6 },
      );
      const [victim, urgent] = [new RequestState(0, 4, 9, 0), new RequestState(1, 8, 9, 0)];
      victim.priority = 1;
      scheduler.add(victim);
      scheduler.update(scheduler.schedule(0), 1, ignore);
      const verification = scheduler.schedule(1);
      expect(shape(verification)).toBe('0:4+4');
      scheduler.add(urgent);
      scheduler.update(scheduler.schedule(1), 2, ignore);
      // The urgent one decodes into a fourth block and more, so the other has to go.
      while (scheduler.preemptions === 0) scheduler.update(scheduler.schedule(2), 2, ignore);
      expect([victim.preemptions, victim.numComputedTokens]).toEqual([1, 0]);
      scheduler.update(verification, 3, ignore);
      expect([victim.numOutputTokens, victim.numComputedTokens]).toEqual([2, 0]);
    });
  });

  it('frees every block in the end', () => {
    const { scheduler, kv } = setup({ maxNumBatchedTokens: 16 }, { numBlocks: 40 });
    for (let i = 0; i < 10; i++) scheduler.add(new RequestState(i, 3 + 5 * i, 1 + 3 * i, 0));
    let steps = 0;
    while (scheduler.hasRequests) {
      expect(steps++).toBeLessThan(1000);
      scheduler.update(scheduler.schedule(steps), steps, ignore);
    }
    expect(kv.pool.usedBlocks).toBe(0);
  });
});
