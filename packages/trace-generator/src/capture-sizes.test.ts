/** Capture sizes as vLLM lists them, and the padding of section 5's examples. */
import { describe, expect, it } from 'vitest';
import { captureSizes, paddingTable, padTokens } from './capture-sizes.js';

describe('capture sizes', () => {
  it('stop at twice the sequences, 512 and the token budget', () => {
    expect(captureSizes(12, 2048)).toEqual([1, 2, 4, 8, 16, 24]);
    expect(captureSizes(128, 2048).at(-1)).toBe(256);
    expect(captureSizes(256, 2048).slice(-3)).toEqual([480, 496, 512]);
    expect(captureSizes(1024, 300).at(-1)).toBe(288);
  });

  it('pad up to the next size and not beyond the largest', () => {
    const table = paddingTable(captureSizes(256, 2048));
    const tokens = [1, 3, 5, 129, 257, 512, 513];
    expect(tokens.map((count) => padTokens(table, count))).toEqual([1, 4, 8, 136, 272, 512, 513]);
  });
});
