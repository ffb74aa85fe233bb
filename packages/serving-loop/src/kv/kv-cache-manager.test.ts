/** Blocks of requests: who is evicted first, and what an allocation counts as free. Blocks of 4. */
import { describe, expect, it } from 'vitest';
import { RequestState } from '../request-state.js';
import { KvCacheManager } from './kv-cache-manager.js';

/** @param usable blocks beside the null block */
function manager(usable: number): KvCacheManager {
  return new KvCacheManager({ numBlocks: usable + 1, blockSize: 4, prefixCaching: true });
}

function request(promptTokens: number, contents: readonly number[]): RequestState {
  const state = new RequestState(0, promptTokens, 1, 0);
  state.blockContents = Int32Array.from(contents);
  return state;
}

describe('KvCacheManager', () => {
  it('frees tail first: the end of a sequence is evicted before its beginning', () => {
    const kv = manager(3);
    const first = request(12, [0, 1, 2]);
    expect(kv.allocate(first, 12, 0, false)).toBe(true);
    kv.free(first);
    expect(kv.allocate(request(4, []), 4, 0, false)).toBe(true);
    // One of three blocks is gone; the prefix of the other two is still there.
    expect(kv.findComputedTokens(request(13, [0, 1, 2]))).toBe(8);
  });

  it('leaves a token to compute: a prompt that is there as a whole is found but for a block', () => {
    const kv = manager(3);
    const first = request(8, [0, 1]);
    kv.allocate(first, 8, 0, false);
    kv.free(first);
    expect(kv.findComputedTokens(request(8, [0, 1]))).toBe(4);
    expect(kv.findComputedTokens(request(9, [0, 1]))).toBe(8);
  });

  it('found blocks that nobody holds use up free ones', () => {
    const kv = manager(3);
    const first = request(8, [0, 1]);
    kv.allocate(first, 8, 0, false);
    kv.free(first);
    const again = request(17, [0, 1]);
    expect(kv.findComputedTokens(again)).toBe(8);
    // Three blocks beside the two found ones: the pool has three in all.
    expect(kv.allocate(again, 9, 8, false)).toBe(false);
    expect(kv.pool.freeBlocks).toBe(3);
    expect(kv.allocate(again, 4, 8, false)).toBe(true);
    expect(kv.pool.freeBlocks).toBe(0);
  });
});
