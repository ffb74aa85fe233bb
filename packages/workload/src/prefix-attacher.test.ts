/** Prefixes of earlier requests from content hashes, in blocks of 16. */
import { describe, expect, it } from 'vitest';
import { PrefixAttacher } from './prefix-attacher.js';
import type { Request } from './request.js';

/** Prefix of each request, in order: [of, tokens]. */
function attach(...requests: [promptTokens: number, blocks: string[]][]) {
  const attacher = new PrefixAttacher();
  return requests.map(([promptTokens, blocks], id) => {
    const request: Request = { id, arrivalNs: 0, promptTokens, outputTokens: 1 };
    const { prefix } = attacher.attach({ request, blocks, blockTokens: 16 });
    return prefix === undefined ? undefined : [prefix.of, prefix.tokens];
  });
}

describe('PrefixAttacher', () => {
  it('finds the longest shared run, of the first request that had all of it', () => {
    const found = attach(
      [48, ['a', 'b', 'c']],
      [64, ['a', 'b', 'x', 'y']],
      [64, ['a', 'b', 'x', 'z']],
      [32, ['b', 'a']],
    );
    expect(found).toEqual([undefined, [0, 32], [1, 48], undefined]);
  });

  it('counts no more tokens than either prompt has: the last block may be partial', () => {
    expect(attach([20, ['a', 'b']], [40, ['a', 'b', 'c']])).toEqual([undefined, [0, 20]]);
    expect(attach([40, ['a', 'b', 'c']], [20, ['a', 'b']])).toEqual([undefined, [0, 20]]);
  });
});
