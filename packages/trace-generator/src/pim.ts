/**
 * Decode attention in memory that computes: every request's KV lies on as many channels as a rank has
 * KV heads (or fewer, if there are fewer), and each channel reads its share beside its banks:
 *
 *   one request = (context x KV bytes of a token and layer / rate + fixed time of its heads) / channels
 *   one layer   = the longest request, or all of them spread evenly over the channels, if longer
 *
 * The context grows with every step. LLMServingSim freezes it at the prompt's length, and scales its
 * rate with query heads per KV head; here it follows the bytes, and both agree at the shape that the
 * rate was fitted on (32 heads, 8 KV heads of 128). Channels of a node are divided among the ranks of
 * the instances that use them.
 */
import { UserError } from '@astrolabe/base';
import {
  type Cluster,
  dtypeBytes,
  type Instance,
  kvBytesPerTokenPerLayer,
  kvHeadsPerRank,
} from '@astrolabe/config';
import type { Batch } from './batch.js';

/** Width of all heads that a device file's fixed time stands for. */
const fixedHeadWidth = 4096;

export interface PimCost {
  /** Node whose memory it is. */
  readonly node: number;
  /** Of one layer, ns. */
  attentionNs(batch: DecodeLoad): number;
  /** The same work in channel-seconds, for energy. */
  channelNs(batch: DecodeLoad): number;
  /** Q, K and V to the channels and the result back, per decoding token and layer. */
  readonly bytesPerDecode: number;
  /** K and V of a prompt token that move to the channels after its prefill, per layer. */
  readonly bytesPerPrefillToken: number;
}

export type DecodeLoad = Pick<Batch, 'decodeCount' | 'decodeContextSum' | 'decodeContextLongest'>;

/**
 * @returns undefined when the instance's attention stays on its devices
 * @throws UserError attention to a part of the context: channels read all of it
 */
export function pimCost(cluster: Cluster, instance: Instance): PimCost | undefined {
  const { pim } = cluster.nodes[instance.node] ?? {};
  if (pim === undefined || !instance.engine.attentionOffload) return undefined;
  const { model, tp, engine } = instance;
  const span = model.localAttention?.span ?? model.slidingWindow ?? Number.POSITIVE_INFINITY;
  if (span < (engine.maxModelLen ?? model.maxPositionEmbeddings)) {
    throw new UserError(
      `${model.name} attends to ${span} tokens at most in some layers: not modelled in memory`,
      { at: `${instance.place}.enable_attn_offloading` },
    );
  }
  const users = cluster.instances
    .filter(({ node, engine: own }) => node === instance.node && own.attentionOffload)
    .reduce((ranks, { npus }) => ranks + npus.length, 0);
  const channels = Math.max(1, Math.floor(pim.numChannels / users));
  const split = Math.min(channels, kvHeadsPerRank(model, tp));
  const groups = Math.max(1, Math.floor(channels / split));
  const kvBytes = kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype);
  const headWidth = (model.numHeads * model.headDim) / tp;
  const perToken = kvBytes / pim.readBandwidthGBps;
  const perRequest = (pim.fixedNs * headWidth) / fixedHeadWidth;
  const channelNs = ({ decodeCount, decodeContextSum }: DecodeLoad): number =>
    (decodeContextSum + decodeCount) * perToken + decodeCount * perRequest;
  return {
    node: instance.node,
    channelNs,
    attentionNs: (batch) => {
      if (batch.decodeCount === 0) return 0;
      const longest = (batch.decodeContextLongest + 1) * perToken + perRequest;
      return Math.max(longest, channelNs(batch) / groups) / split;
    },
    bytesPerDecode: 2 * headWidth * dtypeBytes[engine.dtype] + kvBytes,
    bytesPerPrefillToken: kvBytes,
  };
}

/**
 * Whether parts of a batch can take turns between device and memory (`enable_sub_batch_interleaving`).
 * Ranks that share experts exchange them once a part, and a rank with one request has one part only: the
 * others would wait for it for ever.
 * @throws UserError interleaving without offload, through a pipeline, or with peers
 */
export function checkInterleaving(
  { place, engine, pp }: Instance,
  peers: readonly Instance[],
): void {
  if (!engine.subBatchInterleaving) return;
  const at = `${place}.enable_sub_batch_interleaving`;
  if (!engine.attentionOffload) {
    throw new UserError('needs enable_attn_offloading: halves take turns with PIM', { at });
  }
  if (pp > 1) throw new UserError('cannot be combined with pipeline stages', { at });
  if (peers.length > 1) {
    throw new UserError('cannot be combined with data-parallel ranks that share experts', { at });
  }
}
