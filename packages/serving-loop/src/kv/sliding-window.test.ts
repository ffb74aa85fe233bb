/** Sliding-window attention: what it holds, what it gives back, what it finds; blocks of 4 tokens. */
import { describe, expect, it } from 'vitest';
import { clusterOf, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { RequestState } from '../request-state.js';
import { computedRequest } from './computed-request.test-helper.js';
import { KvCacheManager } from './kv-cache-manager.js';

function manager(window: number | undefined, numBlocks = 30): KvCacheManager {
  return new KvCacheManager({
    numBlocks,
    blockSize: 4,
    prefixCaching: true,
    window,
    maxStepTokens: 8,
  });
}

const contents = [0, 1, 2, 3, 4, 5, 6, 7];

describe('sliding window', () => {
  it('holds the blocks that a token to come attends to', () => {
    const kv = manager(8);
    const request = computedRequest(kv, 24, contents);
    // At 20 computed tokens the next one sees 13..20: blocks 0 to 2 are gone, 3 to 5 stay.
    expect([...request.blocks.data.slice(0, 6)].map((block) => block > 0)).toEqual([
      false,
      false,
      false,
      true,
      true,
      true,
    ]);
    expect(kv.pool.usedBlocks).toBe(3);
    kv.free(request);
    expect(kv.pool.usedBlocks).toBe(0);
    expect(manager(undefined).peakBlocksFor(400)).toBe(100);
    // A window of 8 beside a step of 8 tokens.
    expect(kv.peakBlocksFor(400)).toBe(5);
  });

  it('finds the longest prefix whose last window is there', () => {
    const kv = manager(8);
    kv.free(computedRequest(kv, 24, contents));
    const again = new RequestState(1, 30, 10, 0);
    again.blockContents = Int32Array.from(contents);
    expect(kv.findComputedTokens(again)).toBe(24);
    expect(kv.allocate(again, 6, 24, true)).toBe(true);
    // Two blocks cover the seven tokens before; those further back are not taken.
    expect(kv.pool.usedBlocks).toBe(2 + 2);
    kv.free(again);
    expect(kv.pool.usedBlocks).toBe(0);
  });

  it('keeps a block until no token to come attends to its last token', () => {
    const kv = manager(8);
    const request = computedRequest(kv, 22, contents);
    expect(kv.allocate(request, 1, 0, false)).toBe(true);
    // Token 22 sees 15..22, and token 15 is the last of block 3.
    expect(kv.pool.usedBlocks).toBe(3);
    request.numComputedTokens++;
    expect(kv.allocate(request, 1, 0, false)).toBe(true);
    expect(kv.pool.usedBlocks).toBe(2);
  });

  it('a prefix needs the tokens before the next one, not that one too', () => {
    const kv = manager(9);
    kv.free(computedRequest(kv, 24, contents));
    const other = new RequestState(1, 40, 10, 0);
    // The next token sees eight before it: two blocks.
    other.blockContents = Int32Array.from([90, 91, 2, 3, 94]);
    expect(kv.findComputedTokens(other)).toBe(16);
  });

  it('a gap ends the prefix before it, a short start counts whole', () => {
    const kv = manager(12);
    kv.free(computedRequest(kv, 4, [0]));
    const other = new RequestState(1, 40, 10, 0);
    other.blockContents = Int32Array.from([0, 90, 91, 92, 93, 94, 95, 96, 97]);
    expect(kv.findComputedTokens(other)).toBe(4);
    const unlike = new RequestState(2, 40, 10, 0);
    unlike.blockContents = Int32Array.from([80, 81]);
    expect(kv.findComputedTokens(unlike)).toBe(0);
  });

  it('long answers run in a pool that holds a fraction of them', async () => {
    const engine = { kv_blocks: 40, max_num_batched_tokens: 32 };
    const requests = Array.from({ length: 4 }, (_, id) => ({
      id,
      arrivalNs: id * 1000,
      promptTokens: 100,
      outputTokens: 800,
    }));
    const cluster = clusterOf([engine]);
    const windowed = {
      ...cluster,
      instances: cluster.instances.map((instance) => ({
        ...instance,
        model: { ...instance.model, slidingWindow: 64 },
      })),
    };
    await expect(runFixed({ cluster, requests })).rejects.toThrow('KV blocks');
    const run = await runFixed({ cluster: windowed, requests });
    expect(requestResults(run).every((row) => row.status === 'finished')).toBe(true);
    expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
    expect(run.engines[0].kv.peakUsedBlocks).toBeLessThanOrEqual(4 * 7);
  });
});
