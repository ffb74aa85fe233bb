/**
 * What one attention call is looked up as: any number of prefill chunks become one chunk of the same
 * work. Chunk i with q new tokens after c cached ones computes q (c + q/2) query-key pairs; a kernel
 * that takes all chunks at once does the sum. The equivalent single chunk keeps the sum of pairs and
 * of new tokens: c' = W / Q - Q / 2. Where that is negative (many short prompts without history do
 * less work than one long prompt) it keeps only the work: q' = sqrt(2 W), c' = 0. One chunk maps to
 * itself. LLMServingSim sums both q and c, which counts every chunk's tokens against every other's.
 */
import type { AttentionBatch } from './latency-model.js';

/** The equivalent chunk; reused by the caller, so that a lookup allocates nothing. */
export interface EffectiveChunk {
  newTokens: number;
  contextTokens: number;
}

/**
 * @param minChunk smallest measured chunk: a shorter one costs a whole tile, as measured
 * @param maxChunk largest measured chunk: longer ones keep their work at that width
 */
export function effectiveChunk(
  batch: AttentionBatch,
  minChunk: number,
  maxChunk: number,
  result: EffectiveChunk,
): void {
  let tokens = 0;
  let pairs = 0;
  for (let i = 0; i < batch.prefillCount; i++) {
    const q = Math.max(batch.prefillNewTokens[i], minChunk);
    tokens += q;
    pairs += q * (batch.prefillContextTokens[i] + q / 2);
  }
  equivalentChunk(tokens, pairs, maxChunk, result);
}

export function equivalentChunk(
  tokens: number,
  pairs: number,
  maxChunk: number,
  result: EffectiveChunk,
): void {
  const q = Math.min(tokens, maxChunk);
  const context = pairs / q - q / 2;
  if (context >= 0) {
    result.newTokens = q;
    result.contextTokens = context;
  } else {
    result.newTokens = Math.sqrt(2 * pairs);
    result.contextTokens = 0;
  }
}
