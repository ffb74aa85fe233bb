/**
 * The few distinct numbers an iteration's graph consists of: operator times (ns) and message sizes
 * (bytes). Nodes refer to them by index, so each is computed once per iteration however many layers
 * and ranks use it.
 */
import { assert } from '@astrolabe/base';
import type { LatencyModel } from '@astrolabe/profile';
import type { Batch } from './batch.js';

export type Quantity =
  /** The same in every iteration. */
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'tokens'; readonly operator: string }
  | { readonly kind: 'sequences'; readonly operator: string }
  | { readonly kind: 'attention' }
  /** Bytes: so much per token and so much per sequence row. */
  | { readonly kind: 'bytes'; readonly perToken: number; readonly perSequence: number }
  | { readonly kind: 'warmUp' };

export class QuantityTable {
  readonly list: Quantity[] = [];
  private readonly known = new Map<string, number>();

  /** Index of a quantity; equal quantities share one. */
  add(quantity: Quantity): number {
    const key = JSON.stringify(quantity);
    let index = this.known.get(key);
    if (index === undefined) {
      index = this.list.push(quantity) - 1;
      this.known.set(key, index);
    }
    return index;
  }
}

/** Integer ns or bytes. @throws UserError when the profile cannot answer */
export function evaluate(
  quantity: Quantity,
  batch: Batch,
  latency: LatencyModel,
  tp: number,
  warmUpNs: number,
): number {
  const value = unrounded(quantity, batch, latency, tp, warmUpNs);
  assert(value >= 0 && value < Number.MAX_SAFE_INTEGER, () => `${quantity.kind} is ${value}`);
  return Math.round(value);
}

function unrounded(
  quantity: Quantity,
  batch: Batch,
  latency: LatencyModel,
  tp: number,
  warmUpNs: number,
): number {
  switch (quantity.kind) {
    case 'constant':
      return quantity.value;
    case 'tokens':
      return latency.denseNs(quantity.operator, tp, batch.tokens);
    case 'sequences':
      return latency.perSequenceNs(quantity.operator, tp, batch.sequences);
    case 'attention':
      return latency.attentionNs(tp, batch);
    case 'bytes':
      return quantity.perToken * batch.tokens + quantity.perSequence * batch.sequences;
    case 'warmUp':
      return warmUpNs;
  }
}
