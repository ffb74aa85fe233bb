/** What kept the first waiting request out of each step: KV blocks, seats or the token budget. */
import type { EngineOptions } from '@astrolabe/config';
import type { Batch } from './batch.js';

export class KeptOut {
  /** Steps composed, and in how many somebody was kept out, by what. */
  steps = 0;
  kv = 0;
  seats = 0;
  budget = 0;
  private readonly options: EngineOptions;

  constructor(options: EngineOptions) {
    this.options = options;
  }

  /**
   * A step as it was composed; an empty one counts for nothing.
   * @param preempted it took blocks from somebody, so blocks are what was short
   */
  count(batch: Batch, isAnyWaiting: boolean, numRunning: number, preempted: boolean): void {
    if (batch.requests.length === 0) return;
    this.steps++;
    if (!isAnyWaiting) return;
    const { maxNumSeqs, maxNumBatchedTokens } = this.options;
    let tokens = 0;
    for (const count of batch.newTokens) tokens += count;
    if (preempted) this.kv++;
    else if (tokens >= maxNumBatchedTokens) this.budget++;
    else if (numRunning >= maxNumSeqs) this.seats++;
    else this.kv++;
  }
}
