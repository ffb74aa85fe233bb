/**
 * The few distinct numbers an iteration's graph consists of: operator times (ns) and message sizes
 * (bytes). Nodes refer to them by index, so each is computed once per iteration however many layers
 * and ranks use it.
 */
import { assert, UserError } from '@astrolabe/base';
import type { LatencyModel } from '@astrolabe/profile';
import type { Batch } from './batch.js';
import type { KvSend } from './iteration.js';
import { kvTag } from './kv-links.js';
import type { LocalBatch } from './local-attention.js';
import type { ExpertLoads } from './moe/expert-loads.js';
import type { PimCost } from './pim.js';

export type Quantity =
  /** The same in every iteration. */
  | { readonly kind: 'constant'; readonly value: number }
  | {
      readonly kind: 'stepOverhead';
      readonly perStepNs: number;
      readonly perSequenceNs: number;
    }
  | { readonly kind: 'tokens'; readonly operator: string }
  | { readonly kind: 'sequences'; readonly operator: string }
  | { readonly kind: 'attention' }
  /** Of layers that attend to a part of the context. */
  | { readonly kind: 'localAttention' }
  /** With attention offloaded: what stays on the device, what PIM does, and bytes between them. */
  | { readonly kind: 'prefillAttention' }
  | { readonly kind: 'pimAttention' }
  | { readonly kind: 'pimBytes' }
  | { readonly kind: 'pimStoreBytes' }
  /** Bytes: so much per token and so much per sequence row. */
  | { readonly kind: 'bytes'; readonly perToken: number; readonly perSequence: number }
  /** Bytes per token of all data-parallel ranks together. */
  | { readonly kind: 'groupBytes'; readonly perToken: number }
  /** The whole MoE block of one expert rank. */
  | { readonly kind: 'moe'; readonly rank: number; readonly layer: number }
  /** One projection of all experts of one expert rank, one expert after another. */
  | {
      readonly kind: 'expert';
      readonly operator: string;
      readonly rank: number;
      readonly layer: number;
    }
  /** Of the iteration's KV send of that index: its bytes, its tag. */
  | { readonly kind: 'kvBytes'; readonly index: number; readonly perToken: number }
  | { readonly kind: 'kvTag'; readonly index: number }
  /** Offloaded experts that a rank fetches for a layer. */
  | { readonly kind: 'expertBytes'; readonly rank: number; readonly layer: number }
  /** Of a rearrangement: so many bytes for every expert that a layer's busiest rank moves. */
  | {
      readonly kind: 'movedExperts';
      readonly layers: readonly number[];
      readonly perExpert: number;
    }
  | { readonly kind: 'warmUp' };

/** What quantities are computed from. */
export interface Step {
  readonly batch: Batch;
  readonly latency: LatencyModel;
  readonly tp: number;
  /** Undefined: all layers attend alike. */
  readonly local?: LocalBatch | undefined;
  warmUpNs: number;
  /** Undefined: attention stays on the device. */
  readonly pim?: PimCost | undefined;
  readonly experts: ExpertBlock | undefined;
  kvSends: readonly KvSend[];
  readonly draw: { readonly group: number; wave: number };
}

/** The experts of an instance. */
export interface ExpertBlock {
  readonly loads: ExpertLoads;
  readonly expertsPerToken: number;
  /** Ranks over which one expert's matrices are divided; 1 = whole experts. */
  readonly slices: number;
  /** Of one whole expert. */
  readonly expertBytes: number;
}

/** Adds quantities that are computed from one of an instance's steps. */
export interface Quantities {
  /** Index of a quantity; equal quantities share one. */
  add(quantity: Quantity): number;
}

export class QuantityTable {
  readonly list: Quantity[] = [];
  /** Index of the step that each quantity is computed from. */
  readonly stepOf: number[] = [];
  private readonly known = new Map<string, number>();

  /** Quantity 0 is the constant 0. */
  constructor() {
    this.bind(0).add({ kind: 'constant', value: 0 });
  }

  /** @param step devices or parts of a batch that differ have steps of their own */
  bind(step: number): Quantities {
    return {
      add: (quantity) => {
        const key = `${step} ${JSON.stringify(quantity)}`;
        let index = this.known.get(key);
        if (index === undefined) {
          index = this.list.push(quantity) - 1;
          this.stepOf.push(step);
          this.known.set(key, index);
        }
        return index;
      },
    };
  }
}

/** Integer ns or bytes. @throws UserError when the profile cannot answer, or a number is too large */
export function evaluate(quantity: Quantity, step: Step): number {
  const value = unrounded(quantity, step);
  assert(value >= 0, () => `${quantity.kind} is ${value}`);
  if (value > Number.MAX_SAFE_INTEGER) {
    throw new UserError(
      `${quantity.kind} of a step is ${value} ns or bytes, expected at most 2^53`,
      {
        hint: 'a duration, a size or a number of tokens is too large, or a bandwidth too small',
      },
    );
  }
  return Math.round(value);
}

function unrounded(quantity: Quantity, step: Step): number {
  const { batch, latency, tp } = step;
  switch (quantity.kind) {
    case 'constant':
      return quantity.value;
    case 'stepOverhead':
      return quantity.perStepNs + quantity.perSequenceNs * batch.requests;
    case 'tokens':
      return latency.denseNs(quantity.operator, tp, batch.tokens);
    case 'sequences':
      return latency.perSequenceNs(quantity.operator, tp, batch.sequences);
    case 'attention':
      return latency.attentionNs(tp, batch);
    case 'localAttention':
      return latency.attentionNs(tp, step.local?.of(batch) ?? batch);
    case 'prefillAttention':
      return batch.prefillCount === 0 ? 0 : latency.attentionNs(tp, batch.prefillOnly);
    case 'pimAttention':
      return step.pim?.attentionNs(batch) ?? 0;
    case 'pimBytes':
      return batch.decodeCount * (step.pim?.bytesPerDecode ?? 0);
    case 'pimStoreBytes':
      return batch.prefillTokens * (step.pim?.bytesPerPrefillToken ?? 0);
    case 'bytes':
      return quantity.perToken * batch.tokens + quantity.perSequence * batch.sequences;
    case 'groupBytes':
      return quantity.perToken * batch.groupTokens;
    case 'moe':
      return moeBlockNs(step, quantity.rank, quantity.layer);
    case 'expert':
      return expertNs(step, quantity.operator, quantity.rank, quantity.layer);
    case 'expertBytes':
      return expertBytes(step, quantity.rank, quantity.layer);
    case 'movedExperts':
      return quantity.perExpert * movedExperts(step, quantity.layers);
    case 'kvBytes':
      return quantity.perToken * (step.kvSends[quantity.index]?.tokens ?? 0);
    case 'kvTag':
      return kvTag(step.kvSends[quantity.index]?.transfer ?? 0);
    case 'warmUp':
      return step.warmUpNs;
  }
}

/**
 * MoE tables hold whole experts at TP 1. A rank with `pairs` token-expert pairs does the work of
 * pairs / k tokens; experts cut in n slices move the bytes and do the operations of 1 / n as many
 * experts and tokens.
 */
function moeBlockNs(step: Step, rank: number, layer: number): number {
  const { experts, batch, latency, draw } = step;
  assert(experts !== undefined, 'the model has experts');
  const { slices, expertsPerToken } = experts;
  const { pairs, activated } = experts.loads.layer(batch.groupTokens, layer, draw);
  if (pairs[rank] === 0) return 0;
  const tokens = pairs[rank] / expertsPerToken / slices;
  const active = activated[rank] / slices;
  // No table knows fewer experts than a token picks: there the weights' bytes are the time.
  const least = Math.min(expertsPerToken, active);
  const timeNs = latency.moeNs(1, tokens, Math.max(expertsPerToken, active));
  return (timeNs * least) / expertsPerToken;
}

function expertBytes(step: Step, rank: number, layer: number): number {
  const { experts, batch, draw } = step;
  assert(experts !== undefined, 'the model has experts');
  const { missed } = experts.loads.layer(batch.groupTokens, layer, draw);
  return (missed[rank] * experts.expertBytes) / experts.slices;
}

function movedExperts({ experts, draw }: Step, layers: readonly number[]): number {
  return layers.reduce((sum, layer) => sum + (experts?.loads.moved(layer, draw) ?? 0), 0);
}

/** Profiles of single experts: each of the active ones takes its average share of the pairs. */
function expertNs(step: Step, operator: string, rank: number, layer: number): number {
  const { experts, batch, latency, tp, draw } = step;
  assert(experts !== undefined, 'the model has experts');
  const { pairs, activated } = experts.loads.layer(batch.groupTokens, layer, draw);
  if (pairs[rank] === 0) return 0;
  const tokens = Math.max(1, Math.round(pairs[rank] / activated[rank]));
  return activated[rank] * latency.denseNs(operator, experts.slices > 1 ? tp : 1, tokens);
}
