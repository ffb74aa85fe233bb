/**
 * Bytes one step moves to and from a device's own memory, per rank of one pipeline stage and of the
 * feed-forward devices, for the energy of that traffic: weights once (of experts, those expected to
 * be hit), the KV of every request read and the new tokens' KV written, activations in and out of
 * every operator. Operand sizes as vLLM's layers have them.
 */
import {
  blockElements,
  dtypeBytes,
  feedForwardBytes,
  type Instance,
  kvBytesPerTokenPerLayer,
  kvHeadsPerRank,
  type ModelShape,
  pipelineLayers,
  redundantExperts,
  residentWeightBytes,
  weightBytes,
} from '@astrolabe/config';
import type { Iteration } from '@astrolabe/trace-generator';

export type TrafficModel = (
  iteration: Pick<Iteration, 'requests' | 'newTokens' | 'contextTokens'>,
) => number[];

/** What one rank of a pipeline stage, or of one of two pools, moves. Sizes in bytes. */
interface Part {
  /** Read once in a step. */
  readonly weights: number;
  /** Read once more by every further part of the batch. */
  readonly weightsPerPass: number;
  readonly layers: number;
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
  return (iteration) => {
    let tokens = 0;
    let context = 0;
    for (let i = 0; i < iteration.newTokens.length; i++) {
      tokens += iteration.newTokens[i];
      // With attention offloaded, the KV of decodes is read where it lies.
      const decode = iteration.newTokens[i] === 1 && iteration.contextTokens[i] > 0;
      if (engine.attentionOffload && decode) continue;
      context += iteration.contextTokens[i] + iteration.newTokens[i];
    }
    const passes = Math.min(ffn?.microBatches ?? 1, Math.max(1, iteration.requests.length));
    const unhit = unhitShare(model, tokens / passes);
    return parts.map(
      ({ weights, weightsPerPass, layers, kvPerToken, activations, experts }) =>
        weights +
        (passes - 1) * weightsPerPass -
        passes * layers * unhit * experts +
        layers * ((context + tokens) * kvPerToken + tokens * activations),
    );
  };
}

function stageParts({ model, engine, tp, pp, ep, experts }: Instance): Part[] {
  const redundant = redundantExperts(experts);
  const bytes = dtypeBytes[engine.dtype];
  const activations = (attentionElements(model, tp) + feedForwardElements(model, tp)) * bytes;
  return pipelineLayers(model.numLayers, pp).map((layers, stage) => ({
    weights: weightBytes(model, { tp, pp, ep, redundantExperts: redundant }, stage, engine.dtype),
    weightsPerPass: 0,
    layers,
    kvPerToken: kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype),
    activations,
    experts: expertElements(model, ep > 1 ? ep : tp, redundant) * bytes,
  }));
}

/** Attention devices and feed-forward devices: parts of a batch each read a layer's weights again. */
function poolParts(instance: Instance, ffnTp: number): Part[] {
  const { model, engine, tp, ep } = instance;
  const bytes = dtypeBytes[engine.dtype];
  const layers = model.numLayers;
  const dense = (3 * model.hiddenSize * model.intermediateSize) / tp;
  const attentionBlock = blockElements(model, { tp, pp: 1, ep: 1 }, false) - dense;
  const feedForward = feedForwardBytes(model, ffnTp, ep, engine.dtype);
  return [
    {
      weights: residentWeightBytes(instance, 0),
      weightsPerPass: layers * attentionBlock * bytes,
      layers,
      kvPerToken: kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype),
      activations: attentionElements(model, tp) * bytes,
      experts: 0,
    },
    {
      weights: feedForward,
      weightsPerPass: feedForward,
      layers,
      kvPerToken: 0,
      activations: feedForwardElements(model, ffnTp) * bytes,
      experts: expertElements(model, ep > 1 ? ep : ffnTp) * bytes,
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
function expertElements({ moe, hiddenSize }: ModelShape, ranks: number, redundant = 0): number {
  if (moe === undefined) return 0;
  return ((moe.numExperts + redundant) * 3 * hiddenSize * moe.intermediateSize) / ranks;
}

/** Share of experts no token chose, for tokens that choose k of E evenly: (1 - k/E)^T. */
function unhitShare({ moe }: ModelShape, tokens: number): number {
  if (moe === undefined) return 0;
  return (1 - moe.expertsPerToken / moe.numExperts) ** tokens;
}
