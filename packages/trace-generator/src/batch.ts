/**
 * What one iteration's batch means for operators: tokens, sequence rows and attention work. Reused
 * from iteration to iteration; nothing is allocated once the arrays have grown.
 */
import { grownFloat64 } from '@astrolabe/base';
import type { AttentionBatch } from '@astrolabe/profile';
import type { Iteration } from './iteration.js';

export class Batch implements AttentionBatch {
  /** New tokens of the batch itself. */
  realTokens = 0;
  /** Tokens that every operator but attention computes: padded. */
  tokens = 0;
  /** Tokens of all data-parallel ranks together; `tokens` without data parallelism. */
  groupTokens = 0;
  /** 0 where a data-parallel rank steps along without work. */
  requests = 0;
  /** Rows of the head: one per request, padded. */
  sequences = 0;
  prefillCount = 0;
  prefillNewTokens = new Float64Array(64);
  prefillContextTokens = new Float64Array(64);
  decodeCount = 0;
  decodeContextSum = 0;
  decodeContextLongest = 0;
  /** Undefined while all are taken at their mean. */
  decodeContexts: Float64Array | undefined;
  /** New tokens of prefill chunks. */
  prefillTokens = 0;
  /** This batch without its decodes. */
  readonly prefillOnly: AttentionBatch = new PrefillOnly(this);
  /** Context of each decode; valid in [0, decodeCount), levelled or not. */
  ownContexts = new Float64Array(64);

  /**
   * Takes in an iteration's requests; padding is `pad`'s business. A chunk of one token behind a
   * context is a decode to the attention kernel, whether or not it ends a prompt.
   * @param stride of several parts of a batch each takes every `stride`-th request from its `first`
   */
  read(iteration: Iteration, first = 0, stride = 1): void {
    const { newTokens, contextTokens } = iteration;
    this.clear();
    this.requests = 0;
    for (let i = first; i < newTokens.length; i += stride) {
      this.requests++;
      const added = newTokens[i];
      const context = contextTokens[i];
      this.realTokens += added;
      if (added === 1 && context > 0) this.addDecode(context);
      else this.addPrefill(added, context);
    }
    // A data-parallel rank without work steps along with one dummy token.
    this.realTokens = Math.max(this.realTokens, 1);
    this.sequences = Math.max(this.requests, 1);
    this.tokens = this.realTokens;
    this.groupTokens = this.realTokens;
  }

  /** All decodes at their mean context: none waits for the longest. */
  levelDecodes(): void {
    this.decodeContexts = undefined;
  }

  private clear(): void {
    this.realTokens = 0;
    this.prefillCount = 0;
    this.decodeCount = 0;
    this.decodeContextSum = 0;
    this.decodeContextLongest = 0;
    this.decodeContexts = this.ownContexts;
    this.prefillTokens = 0;
  }

  private addDecode(context: number): void {
    if (this.decodeCount === this.ownContexts.length) {
      this.ownContexts = grownFloat64(this.ownContexts);
      this.decodeContexts = this.ownContexts;
    }
    this.ownContexts[this.decodeCount++] = context;
    this.decodeContextSum += context;
    if (context > this.decodeContextLongest) this.decodeContextLongest = context;
  }

  private addPrefill(added: number, context: number): void {
    const index = this.prefillCount++;
    if (index === this.prefillNewTokens.length) {
      this.prefillNewTokens = grownFloat64(this.prefillNewTokens);
      this.prefillContextTokens = grownFloat64(this.prefillContextTokens);
    }
    this.prefillTokens += added;
    this.prefillNewTokens[index] = added;
    this.prefillContextTokens[index] = context;
  }
}

class PrefillOnly implements AttentionBatch {
  readonly decodeCount = 0;
  readonly decodeContextSum = 0;
  private readonly whole: Batch;

  constructor(whole: Batch) {
    this.whole = whole;
  }

  get prefillCount(): number {
    return this.whole.prefillCount;
  }

  get prefillNewTokens(): Float64Array {
    return this.whole.prefillNewTokens;
  }

  get prefillContextTokens(): Float64Array {
    return this.whole.prefillContextTokens;
  }
}
