/**
 * What an engine's worker finds out about KV on its way. It looks once a step, when that is launched, and
 * its answer comes with the step's output. A step that computes nothing looks, too: alone it answers at
 * once, behind a batch in flight when that has ended and the next step is composed (vLLM's KV connectors).
 */
import type { RequestState } from '../request-state.js';

/** KV of a request has come, or has gone to where it is wanted. */
export interface KvNews {
  readonly request: RequestState;
  /** Undefined: it has gone, and the blocks are free. */
  readonly computedTokens?: number;
}

export const noNews: readonly KvNews[] = [];

export class KvNewsBox {
  private unseen: KvNews[] = [];
  private seen: readonly KvNews[] = noNews;

  add(news: KvNews): void {
    this.unseen.push(news);
  }

  look(): readonly KvNews[] {
    if (this.unseen.length === 0) return noNews;
    const found = this.unseen;
    this.unseen = [];
    return found;
  }

  /** An empty step behind a batch in flight looks. */
  lookBehindBatch(): void {
    if (this.unseen.length > 0) this.seen = this.look();
  }

  /** What that has found, once. */
  answerOfEmptyStep(): readonly KvNews[] {
    const found = this.seen;
    this.seen = noNews;
    return found;
  }
}
