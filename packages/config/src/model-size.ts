/**
 * How many bytes a model's weights take on one rank, with its sharding: what the memory budget and
 * weight streaming need. Elements per block as operators' weights are shaped in vLLM:
 * column- and row-parallel projections are divided by TP, norms are not; KV heads are replicated
 * when TP exceeds them.
 */
import { type Dtype, dtypeBytes } from './engine.js';
import type { ModelShape } from './model.js';
import { isMoeLayer } from './model-experts.js';
import { latentAttentionElements, latentKvElements } from './model-latent.js';

/**
 * Layers of each pipeline stage as vLLM divides them: an even share, the remainder one each to the
 * stages from the last but one backwards (7 layers on 3 stages: 2, 3, 2).
 */
export function pipelineLayers(numLayers: number, pp: number): number[] {
  const layers = new Array<number>(pp).fill(Math.floor(numLayers / pp));
  const remainder = numLayers % pp;
  for (let i = 0; i < remainder; i++) layers[(pp - 2 - i + pp) % pp]++;
  return layers;
}

/** KV heads that one rank holds: replicated when there are fewer than ranks. */
export function kvHeadsPerRank(model: ModelShape, tp: number): number {
  return Math.max(1, Math.floor(model.numKvHeads / tp));
}

/** K and V of one token on one layer of one rank, bytes. */
export function kvBytesPerTokenPerLayer(model: ModelShape, tp: number, dtype: Dtype): number {
  const elements =
    model.mla === undefined
      ? 2 * kvHeadsPerRank(model, tp) * model.headDim
      : latentKvElements(model.mla);
  return elements * dtypeBytes[dtype];
}

export interface Sharding {
  readonly tp: number;
  readonly pp: number;
  /** Expert-parallel degree; 1 = experts are divided by TP like a dense block. */
  readonly ep: number;
  /** Replicas of experts in every layer, over all ranks together; absent: none. */
  readonly redundantExperts?: number;
}

/** Weight elements of one decoder block on one rank. @param moe the block has experts */
export function blockElements(
  model: ModelShape,
  sharding: Sharding,
  moe = model.moe !== undefined,
): number {
  const norms = 2 * model.hiddenSize + (model.qkNorm ? 2 * model.headDim : 0);
  return norms + attentionElements(model, sharding.tp) + feedForwardElements(model, sharding, moe);
}

function attentionElements(model: ModelShape, tp: number): number {
  const h = model.hiddenSize;
  if (model.mla !== undefined) return latentAttentionElements(model.mla, h, model.numHeads / tp);
  const q = (model.numHeads * model.headDim) / tp;
  const kv = kvHeadsPerRank(model, tp) * model.headDim;
  const bias = model.attentionBias ? q + 2 * kv : 0;
  return h * (q + 2 * kv) + q * h + bias;
}

function feedForwardElements(model: ModelShape, sharding: Sharding, experts: boolean): number {
  const h = model.hiddenSize;
  const { moe } = model;
  if (moe === undefined || !experts) return (3 * h * model.intermediateSize) / sharding.tp;
  const divisor = sharding.ep > 1 ? sharding.ep : sharding.tp;
  const physical = moe.numExperts + (sharding.redundantExperts ?? 0);
  const routed = (physical * 3 * h * moe.intermediateSize) / divisor;
  const shared = (3 * h * (moe.sharedIntermediateSize ?? 0)) / sharding.tp;
  return h * moe.numExperts + routed + shared;
}

/** First layer of a pipeline stage. */
export function firstLayerOf(numLayers: number, pp: number, stage: number): number {
  return pipelineLayers(numLayers, pp)
    .slice(0, stage)
    .reduce((sum, layers) => sum + layers, 0);
}

/** Weight bytes of one rank of one stage, embedding and head where they live. */
export function weightBytes(
  model: ModelShape,
  sharding: Sharding,
  stage: number,
  dtype: Dtype,
): number {
  const layers = pipelineLayers(model.numLayers, sharding.pp)[stage];
  const vocabulary = Math.ceil(model.vocabSize / sharding.tp) * model.hiddenSize;
  const first = stage === 0;
  const last = stage === sharding.pp - 1;
  const firstLayer = firstLayerOf(model.numLayers, sharding.pp, stage);
  let elements = 0;
  for (let layer = firstLayer; layer < firstLayer + layers; layer++) {
    elements += blockElements(model, sharding, isMoeLayer(model, layer));
  }
  if (first) elements += vocabulary;
  if (last) {
    elements += model.hiddenSize + (model.lmHeadBias ? model.vocabSize / sharding.tp : 0);
    if (!(model.tiedEmbeddings && first)) elements += vocabulary;
  }
  return elements * dtypeBytes[dtype];
}

/** The rotary cos/sin table that every rank holds beside its weights. */
export function rotaryCacheBytes(model: ModelShape, dtype: Dtype): number {
  return model.maxPositionEmbeddings * model.headDim * dtypeBytes[dtype];
}
