/**
 * Bytes one step moves to and from a device's own memory, per rank of one pipeline stage and of the
 * feed-forward devices, for the energy of that traffic: weights once (of experts, those expected to
 * be hit), the KV of every request read and the new tokens' KV written, activations in and out of
 * every operator. Operand sizes as vLLM's layers have them.
 */
import {
  attendsLocally,
  attentionBlockBytes,
  dtypeBytes,
  embeddingBytes,
  expertBytes,
  expertRanksOf,
  feedForwardBytes,
  firstLayerOf,
  hasTiedHead,
  type Instance,
  isMoeLayer,
  kvBytesPerTokenPerLayer,
  kvHeadsPerRank,
  localContext,
  type ModelShape,
  pipelineLayers,
  redundantExperts,
  residentWeightBytes,
  weightBytes,
} from '@astrolabe/config';
import type { Iteration } from '@astrolabe/trace-generator';

export type TrafficModel = (
  iteration: Pick<Iteration, 'requests' | 'newTokens' | 'contextTokens' | 'waveTokens'>,
) => number[];

/** What one rank of a pipeline stage, or of one of two pools, moves. Sizes in bytes. */
interface Part {
  /** Read once in a step. */
  readonly weights: number;
  /** Read once more by every further part of the batch. */
  readonly weightsPerPass: number;
  readonly layers: number;
  /** Of the layers, those that attend to a part of the context. */
  readonly localLayers: number;
  readonly moeLayers: number;
  /** Per token of context or of the batch, and layer. */
  readonly kvPerToken: number;
  /** Per token of the batch and layer. */
  readonly activations: number;
  /** Of all experts of a layer. */
  readonly experts: number;
}

/** @returns a function from a step to bytes per rank, an entry a stage, then one for `ffn` devices */
export function deviceTraffic(instance: Instance): TrafficModel {
  const { model, engine, ffn } = instance;
  const parts = ffn === undefined ? stageParts(instance) : poolParts(instance, ffn.tp);
  const window = model.slidingWindow ?? Number.POSITIVE_INFINITY;
  const { localAttention: local } = model;
  return (iteration) => {
    let tokens = 0;
    let keys = 0;
    let localKeys = 0;
    for (let i = 0; i < iteration.newTokens.length; i++) {
      const added = iteration.newTokens[i];
      const context = iteration.contextTokens[i];
      tokens += added;
      // With attention offloaded, the KV of decodes is read where it lies.
      if (engine.attentionOffload && added === 1 && context > 0) continue;
      keys += Math.min(context, window - 1) + added;
      localKeys += (local === undefined ? context : localContext(local, context)) + added;
    }
    const passes = Math.min(ffn?.microBatches ?? 1, Math.max(1, iteration.requests.length));
    const routed = iteration.waveTokens?.reduce((sum, count) => sum + count, 0) ?? tokens;
    const unhit = unhitShare(model, routed / passes);
    return parts.map((part) => {
      const { layers, localLayers, kvPerToken } = part;
      const read = (layers - localLayers) * keys + localLayers * localKeys;
      return (
        part.weights +
        (passes - 1) * part.weightsPerPass -
        passes * part.moeLayers * unhit * part.experts +
        (read + layers * tokens) * kvPerToken +
        layers * tokens * part.activations
      );
    });
  };
}

function stageParts(instance: Instance): Part[] {
  const { model, engine, tp, pp, ep, expertSlices, experts } = instance;
  const redundant = redundantExperts(experts);
  const bytes = dtypeBytes[engine.dtype];
  const activations = (attentionElements(model, tp) + feedForwardElements(model, tp)) * bytes;
  const sharding = { tp, pp, ep, expertSlices, redundantExperts: redundant };
  return pipelineLayers(model.numLayers, pp).map((layers, stage) => ({
    weights: weightBytes(model, sharding, stage, engine.dtype) - unreadEmbedding(instance, stage),
    weightsPerPass: 0,
    ...layerKinds(model, firstLayerOf(model.numLayers, pp, stage), layers),
    kvPerToken: kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype),
    activations,
    experts: layerExperts(instance, expertRanksOf(instance), redundant),
  }));
}

function layerKinds(
  model: ModelShape,
  first: number,
  layers: number,
): Pick<Part, 'layers' | 'localLayers' | 'moeLayers'> {
  const own = Array.from({ length: layers }, (_, i) => first + i);
  return {
    layers,
    localLayers: own.filter((layer) => attendsLocally(model, layer)).length,
    moeLayers: own.filter((layer) => isMoeLayer(model, layer)).length,
  };
}

/** Of the embedding the rows of the batch's tokens are read, which is next to nothing; a tied head is all. */
function unreadEmbedding(instance: Instance, stage: number): number {
  return stage > 0 || hasTiedHead(instance) ? 0 : embeddingBytes(instance);
}

/** Attention devices and feed-forward devices: parts of a batch each read a layer's weights again. */
function poolParts(instance: Instance, ffnTp: number): Part[] {
  const { model, engine, tp } = instance;
  const bytes = dtypeBytes[engine.dtype];
  const layers = model.numLayers;
  const attentionBlock = attentionBlockBytes(model, tp, engine.dtype);
  const feedForward = feedForwardBytes(model, ffnTp, engine.dtype);
  return [
    {
      weights: residentWeightBytes(instance, 0) - unreadEmbedding(instance, 0),
      weightsPerPass: layers * attentionBlock,
      ...layerKinds(model, 0, layers),
      moeLayers: 0,
      kvPerToken: kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype),
      activations: attentionElements(model, tp) * bytes,
      experts: 0,
    },
    {
      weights: feedForward,
      weightsPerPass: feedForward,
      ...layerKinds(model, 0, layers),
      kvPerToken: 0,
      activations: feedForwardElements(model, ffnTp) * bytes,
      experts: layerExperts(instance, ffnTp),
    },
  ];
}

/**
 * Read and written per token and layer beside weights and KV: two norms, projections in and out,
 * rotary, attention.
 */
function attentionElements(model: ModelShape, tp: number): number {
  const h = model.hiddenSize;
  const q = (model.numHeads * model.headDim) / tp;
  const kv = kvHeadsPerRank(model, tp) * model.headDim;
  return 4 * h + (h + q + 2 * kv) + 2 * (q + kv) + 2 * q + (q + h);
}

/** Gate-up, activation, down. */
function feedForwardElements({ hiddenSize: h, intermediateSize, moe }: ModelShape, tp: number) {
  const wide =
    moe === undefined ? intermediateSize / tp : moe.expertsPerToken * moe.intermediateSize;
  return h + 2 * wide + 3 * wide + (wide + h);
}

/** Expert weights of one layer on one of the ranks that they are divided over. */
function layerExperts({ model, engine }: Instance, ranks: number, redundant = 0): number {
  const physical = (model.moe?.numExperts ?? 0) + redundant;
  return (physical * expertBytes(model, engine.dtype)) / ranks;
}

/** Share of experts no token chose, for tokens that choose k of E evenly: (1 - k/E)^T. */
function unhitShare({ moe }: ModelShape, tokens: number): number {
  if (moe === undefined) return 0;
  return (1 - moe.expertsPerToken / moe.numExperts) ** tokens;
}
