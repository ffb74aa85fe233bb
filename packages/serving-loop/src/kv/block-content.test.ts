/** Block contents: equal ids exactly when tokens and all their predecessors are equal. */
import { describe, expect, it } from 'vitest';
import { BlockContents } from './block-content.js';

describe('BlockContents', () => {
  it('equal prefixes share ids, the first difference ends that', () => {
    const contents = new BlockContents(2);
    const a = contents.ofSequence(Int32Array.of(1, 2, 3, 4, 5, 6, 7));
    const b = contents.ofSequence(Int32Array.of(1, 2, 3, 9, 5, 6));
    expect([...a]).toEqual([0, 1, 2]);
    expect(b[0]).toBe(a[0]);
    expect(b[1]).not.toBe(a[1]);
    // The same tokens 5, 6 after another past are another content.
    expect(b[2]).not.toBe(a[2]);
  });

  it('tokens decide where hashes are equal', () => {
    const contents = new BlockContents(2);
    const [a] = contents.ofSequence(Int32Array.of(5, 7));
    // Found by search: the 53-bit hash of the block before.
    const colliding = Int32Array.of(4400310, 293577897);
    const [b] = contents.ofSequence(colliding);
    expect(b).not.toBe(a);
    expect([...contents.ofSequence(colliding)]).toEqual([b]);
    expect(contents.size).toBe(2);
  });

  it('a partial block has no id', () => {
    expect(new BlockContents(16).ofSequence(new Int32Array(15))).toHaveLength(0);
  });
});
