/** Buckets as vLLM's TPU model runner makes them, and what a step of such an engine computes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noPadding, paddingTables, rowBuckets, tokenBuckets } from './batch-padding.js';
import { padTokens } from './capture-sizes.js';

const engine = {
  batchPadding: 'buckets',
  bucketPaddingGap: 0,
  maxNumSeqs: 256,
  maxNumBatchedTokens: 2048,
} as const;

describe('buckets', () => {
  it('of tokens are powers of two from 16 that hold the budget', () => {
    expect(tokenBuckets(2048, 0)).toEqual([16, 32, 64, 128, 256, 512, 1024, 2048]);
    expect(tokenBuckets(300, 0)).toEqual([16, 32, 64, 128, 256, 512]);
    expect(tokenBuckets(4, 0)).toEqual([16]);
  });

  it('of tokens go on in steps of the gap', () => {
    expect(tokenBuckets(512, 128)).toEqual([16, 32, 64, 128, 256, 384, 512]);
    expect(tokenBuckets(500, 128)).toEqual([16, 32, 64, 128, 256, 384, 512]);
    expect(tokenBuckets(300, 100)).toEqual([16, 32, 64, 164, 264, 364]);
    expect(tokenBuckets(64, 16)).toEqual([16, 32, 48, 64]);
  });

  it('of rows are powers of two from 8, the last one the seats', () => {
    expect(rowBuckets(256)).toEqual([8, 16, 32, 64, 128, 256]);
    expect(rowBuckets(100)).toEqual([8, 16, 32, 64, 100]);
    expect(rowBuckets(2)).toEqual([8]);
  });

  it('hold every batch that the engine may run', () => {
    const budget = fc.integer({ min: 1, max: 8192 });
    const gap = fc.oneof(fc.constant(0), fc.integer({ min: 16, max: 1024 }));
    fc.assert(
      fc.property(budget, gap, fc.integer({ min: 1, max: 1024 }), (tokens, step, rows) => {
        const options = {
          ...engine,
          bucketPaddingGap: step,
          maxNumBatchedTokens: tokens,
          maxNumSeqs: rows,
        };
        const tables = paddingTables(options);
        expect(padTokens(tables.tokens, tokens)).toBeGreaterThanOrEqual(tokens);
        expect(tables.tokens.length).toBeGreaterThan(tokens);
        expect(tables.rows.length).toBeGreaterThan(rows);
      }),
    );
  });
});

describe('paddingTables', () => {
  const padded = (batchPadding: 'cuda-graphs' | 'buckets' | 'none', tokens: number) => {
    const tables = paddingTables({ ...engine, batchPadding });
    return [padTokens(tables.tokens, tokens), padTokens(tables.rows, tokens)];
  };

  it('pads tokens and rows to buckets, tokens alone to captured sizes', () => {
    expect([5, 33, 129].map((count) => padded('buckets', count))).toEqual([
      [16, 8],
      [64, 64],
      [256, 256],
    ]);
    expect([5, 33, 129].map((count) => padded('cuda-graphs', count))).toEqual([
      [8, 5],
      [40, 33],
      [136, 129],
    ]);
    expect(padded('none', 129)).toEqual([129, 129]);
    expect(paddingTables({ ...engine, batchPadding: 'none' })).toBe(noPadding);
  });

  it('pads batches beyond the largest captured size only to buckets', () => {
    expect(padded('cuda-graphs', 700)[0]).toBe(700);
    expect(padded('buckets', 700)[0]).toBe(1024);
  });
});
