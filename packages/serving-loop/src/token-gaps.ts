/**
 * Inter-token latencies of all requests, as clients see them. Tokens that one step gives together are
 * one gap: a client receives them at once.
 */
import { GrowableFloat64 } from '@astrolabe/base';
import type { Batch } from './scheduler/batch.js';

export class TokenGaps {
  private readonly gaps = new GrowableFloat64(1 << 16);
  /** When each request's client had its last token. */
  private readonly lastNs: Float64Array;

  constructor(numRequests: number) {
    this.lastNs = new Float64Array(numRequests);
  }

  /** A first token that came from elsewhere than the request's own instance. */
  first(request: number, seenNs: number): void {
    this.lastNs[request] = seenNs;
  }

  /** A finished step. @param seenNs when clients have its tokens */
  record(batch: Batch, seenNs: number): void {
    for (let i = 0; i < batch.requests.length; i++) {
      if (!batch.samples[i]) continue;
      const { index, numOutputTokens, isPrefillLeg } = batch.requests[i];
      if (isPrefillLeg) continue;
      const first = numOutputTokens === (batch.gained?.[i] ?? 1);
      if (!first) this.gaps.push(seenNs - this.lastNs[index]);
      this.lastNs[index] = seenNs;
    }
  }

  /** All gaps in order of the steps, ns. */
  toArray(): Float64Array {
    return this.gaps.toArray();
  }
}
