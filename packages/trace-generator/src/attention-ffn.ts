/**
 * Attention and feed-forward blocks on devices of their own. A batch is split into parts that the two
 * pools work on in turn: while one part's feed-forward block runs, attention of the other does. Hidden
 * states travel both ways in every layer, sliced over the larger pool and gathered by the receivers.
 *
 * Both programs are one chain of nodes per part on the same device, so a device that waits for one
 * part's activations works on another. Collectives of a pool run part by part within a layer, in the same
 * order on all its ranks, as one communicator needs it.
 */
import { bytesPerGiB, UserError } from '@astrolabe/base';
import { CollectiveType } from '@astrolabe/chakra';
import { feedForwardBytes, type Instance } from '@astrolabe/config';
import { Chain, type Template } from './chain.js';
import type { Group } from './groups.js';
import {
  type Context,
  contextOf,
  type Lowering,
  lowerAttention,
  lowerEmbedding,
  lowerFeedForward,
  lowerHead,
  lowerHost,
  type Position,
} from './lower.js';

export interface Disaggregated {
  /** Embedding and head run on the whole batch, on the attention devices. */
  readonly whole: Lowering;
  readonly parts: readonly { readonly attention: Lowering; readonly ffn: Lowering }[];
  readonly tensorGroup: Group | undefined;
  readonly ffnGroup: Group | undefined;
}

/** Tags of activations to and from the feed-forward devices, one pair per part of the batch. */
const firstTag = 2;

/** The graph of one attention NPU: all parts of the batch, layer by layer. */
export function lowerAttentionRank(pools: Disaggregated, position: Position): Template {
  const chain = new Chain(pools.whole.strings, true);
  const whole = contextOf(pools.whole, position, chain);
  lowerHost(whole);
  lowerEmbedding(whole);
  const lastPart = pools.parts.length - 1;
  const contexts = pools.parts.map(({ attention }, part) =>
    // KV of the whole batch is complete with its last part.
    contextOf(attention, part === lastPart ? position : { ...position, kvSends: [] }, chain),
  );
  const last = pools.parts.map(() => chain.last);
  const { numLayers } = pools.whole.instance.model;
  for (let layer = 0; layer < numLayers; layer++) {
    contexts.forEach((context, part) => {
      chain.last = last[part];
      if (layer > 0) receive(pools, context, part, layer - 1, 'attention');
      lowerAttention(context, layer, prefixOf(layer, part));
      send(pools, context, part, layer, 'attention');
      last[part] = chain.last;
    });
  }
  contexts.forEach((context, part) => {
    chain.last = last[part];
    receive(pools, context, part, numLayers - 1, 'attention');
    last[part] = chain.last;
  });
  chain.gather(last);
  lowerHead(whole);
  return chain.seal();
}

export function lowerFfnRank(pools: Disaggregated, position: Position): Template {
  const chain = new Chain(pools.whole.strings, true);
  const groups = { tensor: pools.ffnGroup, expert: undefined, ffn: undefined };
  const contexts = pools.parts.map(({ ffn }) => contextOf(ffn, { ...position, groups }, chain));
  const last = pools.parts.map(() => -1);
  for (let layer = 0; layer < pools.whole.instance.model.numLayers; layer++) {
    contexts.forEach((context, part) => {
      chain.last = last[part];
      receive(pools, context, part, layer, 'ffn');
      lowerFeedForward(context, layer, prefixOf(layer, part));
      send(pools, context, part, layer, 'ffn');
      last[part] = chain.last;
    });
  }
  return chain.seal();
}

function prefixOf(layer: number, part: number): string {
  return `layer${layer}.part${part}.`;
}

type Pool = 'attention' | 'ffn';

/** Pairs of NPUs between the pools: as many as the larger has, each with an equal slice. */
function pairsOf({ parts }: Disaggregated): { attention: number; ffn: number }[] {
  const attention = parts[0].attention.instance.npus;
  const ffn = parts[0].ffn.instance.npus;
  const count = Math.max(attention.length, ffn.length);
  return Array.from({ length: count }, (_, i) => ({
    attention: attention[i % attention.length],
    ffn: ffn[i % ffn.length],
  }));
}

/** What a rank of a pool exchanges with its peers in the other: a slice of the hidden state each. */
function slicesOf(
  pools: Disaggregated,
  { instance, position, quantities, hiddenBytes }: Context,
  self: Pool,
): { own: number; peers: number[]; bytes: number } {
  const pairs = pairsOf(pools);
  const own = instance.npus[position.rank];
  const peers = pairs.filter((pair) => pair[self] === own).map((pair) => pair[otherThan(self)]);
  const perToken = hiddenBytes / pairs.length;
  return { own, peers, bytes: quantities.add({ kind: 'bytes', perToken, perSequence: 0 }) };
}

function send(
  pools: Disaggregated,
  context: Context,
  part: number,
  layer: number,
  self: Pool,
): void {
  const { own, peers, bytes } = slicesOf(pools, context, self);
  const name = `${prefixOf(layer, part)}to_${otherThan(self)}`;
  for (const peer of peers) context.chain.send(name, own, peer, tagOf(part, self), bytes);
}

/** Slices of the peers, then the whole from the other ranks of the pool. */
function receive(
  pools: Disaggregated,
  context: Context,
  part: number,
  layer: number,
  self: Pool,
): void {
  const { chain, quantities, hiddenBytes } = context;
  const { own, peers, bytes } = slicesOf(pools, context, self);
  const other = otherThan(self);
  const name = `${prefixOf(layer, part)}from_${other}`;
  for (const peer of peers) chain.receive(name, peer, own, tagOf(part, other), bytes);
  const group = self === 'ffn' ? pools.ffnGroup : pools.tensorGroup;
  if (group === undefined) return;
  const shard = hiddenBytes / group.npus.length;
  const gathered = quantities.add({ kind: 'bytes', perToken: shard, perSequence: 0 });
  chain.collective(`${name}.all_gather`, CollectiveType.allGather, group, gathered);
}

function otherThan(pool: Pool): Pool {
  return pool === 'ffn' ? 'attention' : 'ffn';
}

function tagOf(part: number, sender: Pool): number {
  return firstTag + 2 * part + (sender === 'ffn' ? 1 : 0);
}

/** @throws UserError feed-forward blocks larger than their devices */
export function checkFfnMemory({ place, model, tp, memory, engine }: Instance): void {
  const needed = feedForwardBytes(model, tp, engine.dtype);
  const available = memory.utilization * memory.sizeBytes;
  if (needed <= available) return;
  const gib = (bytes: number): string => `${(bytes / bytesPerGiB).toFixed(2)} GiB`;
  throw new UserError(
    `feed-forward blocks of ${model.name} take ${gib(needed)} per device: that does not fit ` +
      `into ${gib(available)}`,
    { at: `${place}.ffn` },
  );
}
