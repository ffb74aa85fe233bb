/**
 * A batch as layers see it that attend to a part of the context (`LocalAttention` of the model): the
 * same query-key pairs as theirs, written as chunks and decodes with all of a shorter context, which is
 * what profiles know.
 *
 * - Chunked (Llama 4): a prefill is cut where chunks of the model end, and each piece starts with an
 *   empty context; a decode sees its own chunk alone. As vLLM's `make_local_attention_virtual_batches`.
 * - Sliding window of W tokens: up to W keys each token sees all before it; the r tokens beyond see W
 *   each, written as pieces of at most 2 W tokens: r (W - r / 2 + r / 2) pairs.
 */
import { grownFloat64 } from '@astrolabe/base';
import { type LocalAttention, localContext } from '@astrolabe/config';
import type { AttentionBatch } from '@astrolabe/profile';
import type { Batch } from './batch.js';

export class LocalBatch implements AttentionBatch {
  prefillCount = 0;
  prefillNewTokens = new Float64Array(64);
  prefillContextTokens = new Float64Array(64);
  decodeCount = 0;
  decodeContextSum = 0;
  decodeContexts: Float64Array | undefined;
  private contexts = new Float64Array(64);
  private readonly local: LocalAttention;

  constructor(local: LocalAttention) {
    this.local = local;
  }

  /** Reused: valid until the next call. */
  of(batch: Batch): AttentionBatch {
    this.prefillCount = 0;
    for (let i = 0; i < batch.prefillCount; i++) {
      const context = batch.prefillContextTokens[i];
      if (this.local.chunked) this.addChunks(batch.prefillNewTokens[i], context);
      else this.addWindow(batch.prefillNewTokens[i], context);
    }
    this.readDecodes(batch);
    return this;
  }

  private readDecodes({ decodeCount, decodeContexts, ownContexts }: Batch): void {
    if (this.contexts.length < decodeCount) this.contexts = new Float64Array(2 * decodeCount);
    this.decodeCount = decodeCount;
    this.decodeContextSum = 0;
    for (let i = 0; i < decodeCount; i++) {
      const context = ownContexts[i];
      const seen = localContext(this.local, context);
      this.contexts[i] = seen;
      this.decodeContextSum += seen;
    }
    this.decodeContexts = decodeContexts === undefined ? undefined : this.contexts;
  }

  private addChunks(newTokens: number, contextTokens: number): void {
    const { span } = this.local;
    let context = contextTokens % span;
    for (let left = newTokens; left > 0; ) {
      const piece = Math.min(left, span - context);
      this.add(piece, context);
      left -= piece;
      context = 0;
    }
  }

  private addWindow(newTokens: number, contextTokens: number): void {
    const { span } = this.local;
    const growing = Math.min(newTokens, Math.max(0, span - contextTokens));
    if (growing > 0) this.add(growing, contextTokens);
    const full = newTokens - growing;
    const pieces = Math.ceil(full / (2 * span));
    for (let i = 0; i < pieces; i++) this.add(full / pieces, span - full / pieces / 2);
  }

  private add(newTokens: number, contextTokens: number): void {
    const index = this.prefillCount++;
    if (index === this.prefillNewTokens.length) {
      this.prefillNewTokens = grownFloat64(this.prefillNewTokens);
      this.prefillContextTokens = grownFloat64(this.prefillContextTokens);
    }
    this.prefillNewTokens[index] = newTokens;
    this.prefillContextTokens[index] = contextTokens;
  }
}
