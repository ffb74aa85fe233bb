/**
 * What an engine pads a batch to before it runs (`batch_padding`). Attention kernels take true lengths,
 * so padding is for every other operator.
 *
 * - `cuda-graphs`: tokens to the next captured size, up to the largest (`captureSizes`).
 * - `buckets`: a compiler for static shapes (XLA; vLLM's TPU model runner) compiles the model once per
 *   bucket, so every step runs the next bucket's tokens, and the head and the sampler the next bucket's
 *   rows. Buckets of tokens are powers of two from 16 to the first that holds the token budget; with
 *   a gap, powers of two up to it and steps of the gap from there (VLLM_TPU_BUCKET_PADDING_GAP).
 *   Buckets of rows are powers of two from 8, the last one the seats (MIN_NUM_SEQS).
 * - `none`: batches run as they are.
 */
import type { EngineOptions } from '@astrolabe/config';
import { captureSizes, paddingTable } from './capture-sizes.js';

const minTokenBucket = 16;
const minRowBucket = 8;

/** For `padTokens`; empty where nothing is padded. */
export interface PaddingTables {
  readonly tokens: Int32Array;
  readonly rows: Int32Array;
}

const unpadded = new Int32Array(0);
export const noPadding: PaddingTables = { tokens: unpadded, rows: unpadded };

type PaddingOptions = Pick<
  EngineOptions,
  'batchPadding' | 'bucketPaddingGap' | 'maxNumSeqs' | 'maxNumBatchedTokens'
>;

export function paddingTables(engine: PaddingOptions): PaddingTables {
  const { maxNumSeqs, maxNumBatchedTokens, bucketPaddingGap } = engine;
  switch (engine.batchPadding) {
    case 'none':
      return noPadding;
    case 'cuda-graphs':
      return { ...noPadding, tokens: paddingTable(captureSizes(maxNumSeqs, maxNumBatchedTokens)) };
    case 'buckets':
      return {
        tokens: paddingTable(tokenBuckets(maxNumBatchedTokens, bucketPaddingGap)),
        rows: paddingTable(rowBuckets(maxNumSeqs)),
      };
  }
}

/** @param gap 0: powers of two all the way */
export function tokenBuckets(maxNumBatchedTokens: number, gap: number): number[] {
  const buckets = [minTokenBucket];
  let largest = minTokenBucket;
  while (largest < maxNumBatchedTokens) {
    largest += gap === 0 || 2 * largest <= gap ? largest : gap;
    buckets.push(largest);
  }
  return buckets;
}

export function rowBuckets(maxNumSeqs: number): number[] {
  const seats = Math.max(maxNumSeqs, minRowBucket);
  const buckets: number[] = [];
  for (let rows = minRowBucket; rows < seats; rows *= 2) buckets.push(rows);
  return [...buckets, seats];
}
