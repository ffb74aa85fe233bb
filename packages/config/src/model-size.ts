/**
 * How many bytes a model's weights take on one rank, with its sharding: what the memory budget and
 * weight streaming need. Elements per block as in the operator table (layers.md of the design notes):
 * column- and row-parallel projections are divided by TP, norms are not; KV heads are replicated
 * when TP exceeds them.
 */
import { type Dtype, dtypeBytes } from './engine.js';
import type { ModelShape } from './model.js';

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
  return 2 * kvHeadsPerRank(model, tp) * model.headDim * dtypeBytes[dtype];
}

export interface Sharding {
  readonly tp: number;
  readonly pp: number;
  /** Expert-parallel degree; 1 = experts are divided by TP like a dense block. */
  readonly ep: number;
}

/** Weight elements of one decoder block on one rank. */
export function blockElements(model: ModelShape, sharding: Sharding): number {
  const { tp } = sharding;
  const h = model.hiddenSize;
  const q = (model.numHeads * model.headDim) / tp;
  const kv = kvHeadsPerRank(model, tp) * model.headDim;
  const bias = model.attentionBias ? q + 2 * kv : 0;
  const attention = h * (q + 2 * kv) + q * h + bias;
  const norms = 2 * h + (model.qkNorm ? 2 * model.headDim : 0);
  return norms + attention + feedForwardElements(model, sharding);
}

function feedForwardElements(model: ModelShape, sharding: Sharding): number {
  const h = model.hiddenSize;
  if (model.moe === undefined) return (3 * h * model.intermediateSize) / sharding.tp;
  const divisor = sharding.ep > 1 ? sharding.ep : sharding.tp;
  const experts = (model.moe.numExperts * 3 * h * model.moe.intermediateSize) / divisor;
  return h * model.moe.numExperts + experts;
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
  let elements = layers * blockElements(model, sharding);
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
