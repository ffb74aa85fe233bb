/**
 * Inter-token latencies of all requests, as clients see them. Tokens that one step gives together are
 * one gap: a client receives them at once. Requests that decode together have equal gaps, so a step
 * leaves a few values with counts, not one for each of its tokens.
 */
import { GrowableFloat64, GrowableInt32, type Repeated } from '@astrolabe/base';
import type { Batch } from './scheduler/batch.js';

export class TokenGaps {
  private readonly gapsNs = new GrowableFloat64();
  private readonly counts = new GrowableInt32();
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
      if (!first) this.add(seenNs - this.lastNs[index]);
      this.lastNs[index] = seenNs;
    }
  }

  /** All gaps, ns; equal ones in a row are one value. */
  repeated(): Repeated {
    return { values: this.gapsNs.toArray(), counts: this.counts.toArray() };
  }

  /** All gaps in order of the steps, ns. */
  toArray(): Float64Array {
    const { values, counts } = this.repeated();
    const all = new GrowableFloat64();
    for (const [i, gapNs] of values.entries()) {
      for (let n = 0; n < counts[i]; n++) all.push(gapNs);
    }
    return all.toArray();
  }

  private add(gapNs: number): void {
    const { gapsNs, counts } = this;
    const last = gapsNs.length - 1;
    if (last >= 0 && gapsNs.data[last] === gapNs) {
      counts.data[last]++;
      return;
    }
    gapsNs.push(gapNs);
    counts.push(1);
  }
}
