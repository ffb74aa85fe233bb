/**
 * Which part of a rank's weights is on the device. What `placement` or expert offloading puts elsewhere
 * is not, but for the buffers that streamed layers pass through: the layer in use and those ahead.
 */
import { dtypeBytes, type EngineOptions } from './engine.js';
import { expertRanksOf, redundantExperts } from './expert-ranks.js';
import type { ModelShape } from './model.js';
import { isMoeLayer } from './model-experts.js';
import { expertBytes, firstLayerOf, pipelineLayers, weightBytes } from './model-size.js';
import type { Instance } from './resolved-cluster.js';
import {
  operatorWeightBytes,
  type WeightLocation,
  type WeightPlacement,
  weightPlacement,
} from './weight-placement.js';

const attention = ['layernorm', 'qkv_proj', 'qk_norm', 'o_proj'];
const latentAttention = [
  'layernorm',
  'qkv_a_proj',
  'latent_norm',
  'q_b_proj',
  'kv_b_proj',
  'o_proj',
];
const dense = ['gate_up_proj', 'down_proj'];
const moe = ['shared_gate_up_proj', 'shared_down_proj', 'moe'];
const head = ['final_layernorm', 'lm_head'];
/** Weight bytes that one rank of a stage holds on the device. */
export function residentWeightBytes(instance: Instance, stage: number): number {
  const { model, tp, pp, ep, expertSlices, engine } = instance;
  if (instance.ffn !== undefined) return attentionWeightBytes(instance);
  const redundant = redundantExperts(instance.experts);
  const sharding = { tp, pp, ep, expertSlices, redundantExperts: redundant };
  const all = weightBytes(model, sharding, stage, engine.dtype);
  const layers = offDeviceLayers(instance, stage);
  const rows = offDeviceEmbedding(instance, stage);
  const streamed = layers.reduce((sum, bytes) => sum + bytes, 0);
  const buffered = [...layers]
    .sort((a, b) => b - a)
    .slice(0, 1 + (instance.weightPrefetchLayers ?? 1))
    .reduce((sum, bytes) => sum + bytes, 0);
  return all - rows - streamed + buffered;
}

/** Without the feed-forward blocks, which have devices of their own. */
function attentionWeightBytes({ model, tp, engine }: Instance): number {
  const all = weightBytes(model, { tp, pp: 1, ep: 1 }, 0, engine.dtype);
  return all - feedForwardBytes(model, tp, engine.dtype);
}

/**
 * Weight bytes of all feed-forward blocks on one of the ranks that they are divided over. Whether
 * experts are whole or sliced there, a rank holds as much.
 */
export function feedForwardBytes(
  model: ModelShape,
  tp: number,
  dtype: EngineOptions['dtype'],
): number {
  const sharding = { tp, expertRanks: tp };
  let bytes = 0;
  for (let layer = 0; layer < model.numLayers; layer++) {
    for (const operator of isMoeLayer(model, layer) ? moe : dense) {
      bytes += operatorWeightBytes(model, sharding, operator, dtype);
    }
  }
  return bytes;
}

/** Of the embedding, rows of the batch's tokens are fetched: it needs no buffer. */
function offDeviceEmbedding({ placement, model, tp, engine }: Instance, stage: number): number {
  if (stage > 0 || weightPlacement(placement).of(-1, 'embedding').tier === 'npu') return 0;
  return Math.ceil(model.vocabSize / tp) * model.hiddenSize * dtypeBytes[engine.dtype];
}

/** Bytes off the device of every layer of a stage; the head counts as one more layer. */
function offDeviceLayers(instance: Instance, stage: number): number[] {
  const { model, pp } = instance;
  const placement = weightPlacement(instance.placement);
  const first = firstLayerOf(model.numLayers, pp, stage);
  const count = pipelineLayers(model.numLayers, pp)[stage];
  const sizes = Array.from({ length: count }, (_, i) =>
    offDeviceBytes(instance, placement, first + i),
  );
  const last = stage === pp - 1 ? sumOff(instance, placement, -1, head) : 0;
  return [...sizes, last];
}

function offDeviceBytes(instance: Instance, placement: WeightPlacement, layer: number): number {
  const { model } = instance;
  const names = attentionOf(model);
  const block = sumOff(instance, placement, layer, names);
  if (!isMoeLayer(model, layer)) return block + sumOff(instance, placement, layer, dense);
  const offload = instance.experts?.offload;
  if (offload === undefined) return block + sumOff(instance, placement, layer, moe);
  return block + offloadedExpertBytes(instance, offload.cached_experts);
}

/** Of one layer and rank. */
function offloadedExpertBytes(instance: Instance, cachedExperts: number): number {
  const { model, ep, engine } = instance;
  const held = (model.moe?.numExperts ?? 0) / Math.max(ep, 1);
  const away = Math.max(0, held - cachedExperts);
  const slices = expertRanksOf(instance) / Math.max(ep, 1);
  return (away * expertBytes(model, engine.dtype)) / slices;
}

function attentionOf({ mla }: ModelShape): readonly string[] {
  return mla === undefined ? attention : latentAttention;
}

/**
 * Bytes that `placement` and the offloading of experts put on one memory off the device, of all ranks
 * and stages together.
 */
export function weightBytesAt(instance: Instance, where: WeightLocation): number {
  const { model, tp, engine } = instance;
  const placement = weightPlacement(instance.placement);
  const offload = instance.experts?.offload;
  const sum = (layer: number, operators: readonly string[]): number =>
    sumAt(instance, placement, layer, operators, where);
  let bytes = sum(-1, head);
  const embedding = placement.of(-1, 'embedding');
  if (embedding.tier === where.tier && embedding.device === where.device) {
    bytes += Math.ceil(model.vocabSize / tp) * model.hiddenSize * dtypeBytes[engine.dtype];
  }
  const experts =
    offload !== undefined && isAt(offload, where)
      ? offloadedExpertBytes(instance, offload.cached_experts)
      : 0;
  const routed = offload === undefined ? moe : [];
  for (let layer = 0; layer < model.numLayers; layer++) {
    const sparse = isMoeLayer(model, layer);
    bytes += sum(layer, [...attentionOf(model), ...(sparse ? routed : dense)]);
    if (sparse) bytes += experts;
  }
  return bytes * tp;
}

/** Host memory is one device. */
function isAt({ tier, device }: { tier: 'cpu' | 'cxl'; device: number }, where: WeightLocation) {
  return tier === where.tier && (tier === 'cpu' || device === where.device);
}

function sumOff(
  instance: Instance,
  placement: WeightPlacement,
  layer: number,
  operators: readonly string[],
): number {
  return sumAt(instance, placement, layer, operators, undefined);
}

/** @param where undefined: anywhere off the device */
function sumAt(
  instance: Instance,
  placement: WeightPlacement,
  layer: number,
  operators: readonly string[],
  where: WeightLocation | undefined,
): number {
  const { model, tp, engine } = instance;
  const sharding = {
    tp,
    expertRanks: expertRanksOf(instance),
    redundantExperts: redundantExperts(instance.experts),
  };
  let bytes = 0;
  for (const operator of operators) {
    const { tier, device } = placement.of(layer, operator);
    if (where === undefined ? tier === 'npu' : tier !== where.tier || device !== where.device) {
      continue;
    }
    const norms = model.sandwichNorms === undefined ? 2 : 4;
    const times = operator === 'layernorm' ? norms : 1;
    bytes += times * operatorWeightBytes(model, sharding, operator, engine.dtype);
  }
  return bytes;
}
