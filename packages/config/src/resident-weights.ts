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
const sharedExperts = ['shared_gate_up_proj', 'shared_down_proj'];
const moe = [...sharedExperts, 'moe'];
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

/** Embedding and head are one matrix, which a stage with both holds once. */
export function hasTiedHead({ model, pp }: Instance): boolean {
  return model.tiedEmbeddings && pp === 1;
}

/** One rank's part of the embedding. */
export function embeddingBytes({ model, tp, engine }: Instance): number {
  return Math.ceil(model.vocabSize / tp) * model.hiddenSize * dtypeBytes[engine.dtype];
}

/**
 * Of the embedding, rows of the batch's tokens are fetched: it needs no buffer. One that is the head, too,
 * is the head's.
 */
function offDeviceEmbedding(instance: Instance, stage: number): number {
  if (stage > 0 || hasTiedHead(instance)) return 0;
  const { tier } = weightPlacement(instance.placement).of(-1, 'embedding');
  return tier === 'npu' ? 0 : embeddingBytes(instance);
}

/** Operators of the head that may be off the device: a tied one stays where the embedding is there. */
function offDeviceHead(instance: Instance, placement: WeightPlacement): readonly string[] {
  const stays = hasTiedHead(instance) && placement.of(-1, 'embedding').tier === 'npu';
  return stays ? head.filter((operator) => operator !== 'lm_head') : head;
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
  const ends = stage === pp - 1;
  const last = ends ? sumOff(instance, placement, -1, offDeviceHead(instance, placement)) : 0;
  return [...sizes, last];
}

function offDeviceBytes(instance: Instance, placement: WeightPlacement, layer: number): number {
  const { model } = instance;
  const names = attentionOf(model);
  const block = sumOff(instance, placement, layer, names);
  if (!isMoeLayer(model, layer)) return block + sumOff(instance, placement, layer, dense);
  const offload = instance.experts?.offload;
  if (offload === undefined) return block + sumOff(instance, placement, layer, moe);
  const shared = sumOff(instance, placement, layer, sharedExperts);
  return block + shared + offloadedExpertBytes(instance, offload.cached_experts);
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
 * and stages together. A tied matrix is there once, for whichever of its uses.
 */
export function weightBytesAt(instance: Instance, where: WeightLocation): number {
  const { model, tp, experts } = instance;
  const placement = weightPlacement(instance.placement);
  const sum = (layer: number, operators: readonly string[]): number =>
    sumAt(instance, placement, layer, operators, where);
  let bytes = sum(-1, head);
  const isHere = (operator: string): boolean => isSame(placement.of(-1, operator), where);
  const counted = hasTiedHead(instance) && isHere('lm_head');
  if (isHere('embedding') && !counted) bytes += embeddingBytes(instance);
  const other = experts?.offload === undefined ? moe : sharedExperts;
  for (let layer = 0; layer < model.numLayers; layer++) {
    const sparse = isMoeLayer(model, layer);
    bytes += sum(layer, [...attentionOf(model), ...(sparse ? other : dense)]);
  }
  return bytes * tp + (experts?.offload === undefined ? 0 : routedBytesAt(instance, where));
}

/** Of them those of routed experts, of which every data-parallel rank has its own. */
export function routedBytesAt(instance: Instance, where: WeightLocation): number {
  const { model, tp, engine, experts } = instance;
  const placement = weightPlacement(instance.placement);
  const offload = experts?.offload;
  const physical = (model.moe?.numExperts ?? 0) + redundantExperts(experts);
  const held = (physical * expertBytes(model, engine.dtype)) / expertRanksOf(instance);
  let bytes = 0;
  for (let layer = 0; layer < model.numLayers; layer++) {
    if (!isMoeLayer(model, layer)) continue;
    if (offload === undefined) bytes += isSame(placement.of(layer, 'moe'), where) ? held : 0;
    else if (isAt(offload, where)) bytes += offloadedExpertBytes(instance, offload.cached_experts);
  }
  return bytes * tp;
}

function isSame(a: WeightLocation, b: WeightLocation): boolean {
  return a.tier === b.tier && a.device === b.device;
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
