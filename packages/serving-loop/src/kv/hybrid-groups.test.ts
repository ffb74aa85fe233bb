/** Layers with a window beside layers without: groups of blocks in one pool, blocks of 4 tokens. */
import { parseModel } from '@astrolabe/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterOf, exampleModel, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { RequestState } from '../request-state.js';
import { KvCacheManager } from './kv-cache-manager.js';

const groups = { full: 1, windowed: 2 };
const contents = Array.from({ length: 8 }, (_, i) => i);

function manager(numBlocks = 100, window = 8): KvCacheManager {
  const options = { numBlocks, blockSize: 4, prefixCaching: true, maxStepTokens: 8 };
  return new KvCacheManager({ ...options, window, groups });
}

function compute(kv: KvCacheManager, tokens: number, ids: readonly number[]): RequestState {
  const request = new RequestState(0, tokens, 10, 0);
  request.blockContents = Int32Array.from(ids);
  for (let at = 0; at < tokens; at += 4) {
    expect(kv.allocate(request, Math.min(4, tokens - at), 0, false)).toBe(true);
    request.numComputedTokens += Math.min(4, tokens - at);
  }
  return request;
}

describe('groups of layers', () => {
  it('without a window keep all blocks, with one those that it reaches', () => {
    const kv = manager();
    const request = compute(kv, 24, contents);
    // At 20 computed tokens the next one sees 13..20: windows hold 3 of 6.
    expect(kv.pool.usedBlocks).toBe(6 + 2 * 3);
    kv.free(request);
    expect(kv.pool.usedBlocks).toBe(0);
    // A window of 8 beside a step of 8 tokens: 5 blocks.
    expect(kv.peakBlocksFor(400)).toBe(100 + 2 * 5);
  });

  it('find a prefix that all of them have', () => {
    const kv = manager();
    kv.free(compute(kv, 24, contents));
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
    kv.free(compute(kv, 24, contents));
    kv.free(compute(kv, 12, [50, 51, 52]));
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
        const together = prompts.map((tokens) => compute(kv, tokens, contents));
        const alone = apart.map((one) => prompts.map((tokens) => compute(one, tokens, contents)));
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
});
