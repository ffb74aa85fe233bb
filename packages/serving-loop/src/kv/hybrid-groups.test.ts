/** Layers with a window beside layers without: groups of blocks in one pool, blocks of 4 tokens. */
import { parseModel } from '@astrolabe/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterOf, exampleModel, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { RequestState } from '../request-state.js';
import { computedRequest } from './computed-request.test-helper.js';
import { KvCacheManager } from './kv-cache-manager.js';

const groups = { full: 1, windowed: 2 };
const contents = Array.from({ length: 8 }, (_, i) => i);

function manager(numBlocks = 100, window = 8): KvCacheManager {
  const options = { numBlocks, blockSize: 4, prefixCaching: true, maxStepTokens: 8 };
  return new KvCacheManager({ ...options, window, groups });
}

describe('groups of layers', () => {
  it('without a window keep all blocks, with one those that it reaches', () => {
    const kv = manager();
    const request = computedRequest(kv, 24, contents);
    // At 20 computed tokens the next one sees 13..20: windows hold 3 of 6.
    expect(kv.pool.usedBlocks).toBe(6 + 2 * 3);
    kv.free(request);
    expect(kv.pool.usedBlocks).toBe(0);
    // A window of 8 beside a step of 8 tokens: 5 blocks.
    expect(kv.peakBlocksFor(400)).toBe(100 + 2 * 5);
  });

  it('find a prefix that all of them have', () => {
    const kv = manager();
    kv.free(computedRequest(kv, 24, contents));
    const again = new RequestState(1, 30, 10, 0);
    again.blockContents = Int32Array.from(contents);
    expect(kv.findComputedTokens(again)).toBe(24);
    expect(kv.allocate(again, 6, 24, true)).toBe(true);
    // Six and two fresh ones; two that cover the seven tokens before, and two fresh, in each window.
    expect(kv.pool.usedBlocks).toBe(6 + 2 + 2 * (2 + 2));
    kv.free(again);
    // Its first 12 tokens are there for all layers, but windows have them no longer at their end.
    const other = new RequestState(2, 30, 10, 0);
    other.blockContents = Int32Array.from([0, 1, 2, 93, 94]);
    expect(kv.findComputedTokens(other)).toBe(12);
  });

  it('a prefix ends where blocks of a window were handed out again', () => {
    // 12 usable blocks: what the second request takes are the first ones freed.
    const kv = manager(13);
    kv.free(computedRequest(kv, 24, contents));
    kv.free(computedRequest(kv, 12, [50, 51, 52]));
    const again = new RequestState(1, 24, 10, 0);
    again.blockContents = Int32Array.from(contents);
    expect(kv.findComputedTokens(again)).toBeLessThan(20);
  });

  it('take nothing when one of them has no room', () => {
    const kv = manager(10);
    const request = new RequestState(0, 16, 10, 0);
    // Four blocks in each of three groups, nine free.
    expect(kv.allocate(request, 16, 0, false)).toBe(false);
    expect(kv.pool.usedBlocks).toBe(0);
    expect(kv.allocate(request, 12, 0, false)).toBe(true);
    expect(kv.pool.usedBlocks).toBe(9);
  });

  it('hold what their layers would in pools of their own, and give all back', () => {
    const length = fc.integer({ min: 1, max: 60 });
    const lengths = fc.array(length, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 2, max: 20 }), (prompts, window) => {
        const kv = manager(1000, window);
        const options = { numBlocks: 1000, blockSize: 4, prefixCaching: true, maxStepTokens: 8 };
        const apart = [{}, { window }, { window }].map(
          (own) => new KvCacheManager({ ...options, ...own }),
        );
        const together = prompts.map((tokens) => computedRequest(kv, tokens, contents));
        const alone = apart.map((one) =>
          prompts.map((tokens) => computedRequest(one, tokens, contents)),
        );
        const used = apart.reduce((sum, one) => sum + one.pool.usedBlocks, 0);
        expect(kv.pool.usedBlocks).toBe(used);
        const next = new RequestState(9, 40, 10, 0);
        next.blockContents = Int32Array.from(contents);
        const found = apart.map((one) => one.findComputedTokens(next));
        expect(kv.findComputedTokens(next)).toBe(Math.min(...found));
        for (const request of together) kv.free(request);
        apart.forEach((one, g) => {
          for (const request of alone[g]) one.free(request);
        });
        expect(kv.pool.freeBlocks).toBe(999);
      }),
    );
  });

  it('let more long requests run at once than whole layers do', async () => {
    const layer_types = ['sliding', 'full'].map((type) => `${type}_attention`);
    const windows = { sliding_window: 64, num_hidden_layers: 2, layer_types };
    const model = parseModel('windows', { ...exampleModel, ...windows }, 'windows');
    const requests = Array.from({ length: 4 }, (_, id) => ({
      id,
      arrivalNs: id * 1000,
      promptTokens: 100,
      outputTokens: 800,
    }));
    const preemptions = async (kvGroups?: { layers: number; full: number; windowed: number }) => {
      // As many bytes: a block of one layer is half of one of both.
      const kv_blocks = kvGroups === undefined ? 131 : 261;
      const cluster = clusterOf([{ kv_blocks, max_num_batched_tokens: 32 }]);
      const [plain] = cluster.instances;
      const instance = { ...plain, model, ...(kvGroups === undefined ? {} : { kvGroups }) };
      const run = await runFixed({ cluster: { ...cluster, instances: [instance] }, requests });
      expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
      const results = requestResults(run);
      return results.reduce((sum, one) => sum + one.preemptions, 0);
    };
    expect(await preemptions()).toBeGreaterThan(0);
    // Four of 57 blocks and four windows of at most 7: all fit.
    expect(await preemptions({ layers: 1, full: 1, windowed: 1 })).toBe(0);
  });

  it('serve to the end and give all back: drafts, early ends, clients that leave, little memory', async () => {
    const some = fc.integer({ min: 1, max: 40 });
    const request = fc.record({ gapNs: fc.nat(40), promptTokens: some, outputTokens: some });
    const engine = fc.record({
      kv_blocks: fc.integer({ min: 8, max: 40 }),
      block_size: fc.constantFrom(2, 4),
      max_num_batched_tokens: fc.constantFrom(4, 8, 32),
      max_num_seqs: fc.constantFrom(1, 4),
      async_scheduling: fc.boolean(),
      pp_size: fc.constantFrom(1, 1, 2),
      speculative_tokens: fc.constantFrom(0, 3),
      speculative_acceptance: fc.constant(0.5),
      eos_share: fc.constantFrom(0, 0.5),
      reserve_full_isl: fc.boolean(),
    });
    const kinds = fc.constantFrom('sf', 'ssf', 'ss');
    const patience = fc.constantFrom(undefined, 100, 1000);
    let finished = 0;
    let preempted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 7 }),
        engine,
        kinds,
        fc.integer({ min: 1, max: 12 }),
        patience,
        async (drawn, options, kind, window, clientTimeoutNs) => {
          const layer_types = [...kind].map(
            (one) => `${one === 's' ? 'sliding' : 'full'}_attention`,
          );
          const layers = { layer_types, num_hidden_layers: kind.length, sliding_window: window };
          const cluster = clusterOf([options], { model: { ...exampleModel, ...layers } });
          let arrivalNs = 0;
          const requests = drawn.map(({ gapNs, ...rest }, id) => {
            arrivalNs += gapNs;
            const tokens = Math.min(rest.promptTokens, drawn[0].promptTokens, 8);
            return { id, arrivalNs, ...rest, ...(id > 1 ? { prefix: { of: 0, tokens } } : {}) };
          });
          const more = clientTimeoutNs === undefined ? {} : { clientTimeoutNs };
          const run = await runFixed({
            cluster,
            requests,
            times: { stepNs: 10 },
            unservable: 'reject',
            ...more,
          });
          const rows = requestResults(run);
          expect(rows.map(({ status }) => status)).not.toContain('unfinished');
          if (clientTimeoutNs === undefined) expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
          finished += rows.filter(({ status }) => status === 'finished').length;
          preempted += rows.filter(({ preemptions }) => preemptions > 0).length;
        },
      ),
      { numRuns: 1500, seed: 3 },
    );
    expect(finished).toBeGreaterThan(1000);
    expect(preempted).toBeGreaterThan(100);
  });
});
