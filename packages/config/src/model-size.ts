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
import { elementBytes } from './model-quantization.js';

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
  /** Slices that the ranks of a share of the experts cut each into; absent: 1. */
  readonly expertSlices?: number | undefined;
  /** Replicas of experts in every layer, over all ranks together; absent: none. */
  readonly redundantExperts?: number;
}

/** Weight bytes of one decoder block on one rank. @param moe the block has experts */
export function blockBytes(
  model: ModelShape,
  sharding: Sharding,
  dtype: Dtype,
  moe = model.moe !== undefined,
): number {
  return (
    attentionBlockBytes(model, sharding.tp, dtype) + feedForwardBytes(model, sharding, dtype, moe)
  );
}

/** Of a decoder block all but the feed-forward part: norms, projections, their biases. */
export function attentionBlockBytes(model: ModelShape, tp: number, dtype: Dtype): number {
  const norms =
    (model.sandwichNorms === undefined ? 2 : 4) * model.hiddenSize +
    (model.qkNorm ? 2 * model.headDim : 0);
  return (
    (norms + attentionBiases(model, tp)) * dtypeBytes[dtype] +
    attentionElements(model, tp) * elementBytes(model, 'attention', dtype)
  );
}

function attentionElements(model: ModelShape, tp: number): number {
  const h = model.hiddenSize;
  if (model.mla !== undefined) return latentAttentionElements(model.mla, h, model.numHeads / tp);
  const q = (model.numHeads * model.headDim) / tp;
  const kv = kvHeadsPerRank(model, tp) * model.headDim;
  return h * (q + 2 * kv) + q * h;
}

function attentionBiases(model: ModelShape, tp: number): number {
  if (!model.attentionBias || model.mla !== undefined) return 0;
  const inward =
    (model.numHeads * model.headDim) / tp + 2 * kvHeadsPerRank(model, tp) * model.headDim;
  return inward + (model.allBiases === undefined ? 0 : model.hiddenSize);
}

function feedForwardBytes(
  model: ModelShape,
  sharding: Sharding,
  dtype: Dtype,
  experts: boolean,
): number {
  const h = model.hiddenSize;
  const { moe } = model;
  if (moe === undefined || !experts) {
    const dense = (3 * h * model.intermediateSize) / sharding.tp;
    return dense * elementBytes(model, 'dense', dtype);
  }
  const { ep, tp, expertSlices = 1 } = sharding;
  const divisor = ep > 1 ? ep * expertSlices : tp;
  const physical = moe.numExperts + (sharding.redundantExperts ?? 0);
  const routed = (physical * expertBytes(model, dtype)) / divisor;
  const shared = (3 * h * (moe.sharedIntermediateSize ?? 0)) / sharding.tp;
  return gateBytes(model, dtype) + routed + shared * elementBytes(model, 'shared', dtype);
}

/** Of one layer: every rank has it whole. */
export function gateBytes(model: ModelShape, dtype: Dtype): number {
  const experts = model.moe?.numExperts ?? 0;
  const bias = model.allBiases === undefined ? 0 : experts;
  return (model.hiddenSize * experts + bias) * dtypeBytes[dtype];
}

/** Three matrices, and their biases. */
export function expertBytes(model: ModelShape, dtype: Dtype): number {
  const { hiddenSize: h, moe } = model;
  const inner = moe?.intermediateSize ?? 0;
  const bias = model.allBiases === undefined || moe === undefined ? 0 : 2 * inner + h;
  return 3 * h * inner * elementBytes(model, 'experts', dtype) + bias * dtypeBytes[dtype];
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
  let blocks = 0;
  for (let layer = firstLayer; layer < firstLayer + layers; layer++) {
    blocks += blockBytes(model, sharding, dtype, isMoeLayer(model, layer));
  }
  let elements = 0;
  if (first) elements += vocabulary;
  if (last) {
    elements += model.hiddenSize + (model.lmHeadBias ? model.vocabSize / sharding.tp : 0);
    if (!(model.tiedEmbeddings && first)) elements += vocabulary;
  }
  return blocks + elements * dtypeBytes[dtype];
}

/** The rotary cos/sin table that every rank holds beside its weights. */
export function rotaryCacheBytes(model: ModelShape, dtype: Dtype): number {
  return model.maxPositionEmbeddings * model.headDim * dtypeBytes[dtype];
}
