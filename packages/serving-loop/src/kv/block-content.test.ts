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

  it('a partial block has no id', () => {
    expect(new BlockContents(16).ofSequence(new Int32Array(15))).toHaveLength(0);
  });
});
