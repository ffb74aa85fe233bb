/** A request whose prompt was computed four tokens at a time; its blocks have the given contents. */
import { expect } from 'vitest';
import { RequestState } from '../request-state.js';
import type { KvCacheManager } from './kv-cache-manager.js';

export function computedRequest(
  kv: KvCacheManager,
  tokens: number,
  contents: readonly number[],
): RequestState {
  const request = new RequestState(0, tokens, 10, 0);
  request.blockContents = Int32Array.from(contents);
  for (let at = 0; at < tokens; at += 4) {
    expect(kv.allocate(request, Math.min(4, tokens - at), 0, false)).toBe(true);
    request.numComputedTokens += Math.min(4, tokens - at);
  }
  return request;
}
