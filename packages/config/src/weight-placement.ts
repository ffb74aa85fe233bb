/**
 * Where weights live (`placement` of the cluster file) and how many elements each operator has. The
 * rule of an operator wins over the rule of a block, that over the default, which is the device.
 */
import { UserError } from '@astrolabe/base';
import type { PlacementFile } from './cluster.js';
import type { Dtype } from './engine.js';
import type { ModelShape } from './model.js';
import { elementBytes, weightPartOf } from './model-quantization.js';
import { expertBytes, gateBytes, kvHeadsPerRank } from './model-size.js';

export interface WeightLocation {
  readonly tier: 'npu' | 'cpu' | 'cxl';
  /** Of CXL memory; 0 otherwise. */
  readonly device: number;
}

const onDevice: WeightLocation = { tier: 'npu', device: 0 };

export interface WeightPlacement {
  /** Something lives off the device. */
  readonly offDevice: boolean;
  /** All that rules name. */
  readonly locations: readonly WeightLocation[];
  /** Highest block that a rule names; -1: none does. */
  readonly lastBlock: number;
  /** Operators that have a rule of their own. */
  readonly operators: readonly string[];
  /** @param layer decoder block, -1 for embedding and head */
  of(layer: number, operator: string): WeightLocation;
}

/** @throws UserError a location or block list that cannot be read */
export function weightPlacement(file: PlacementFile | undefined): WeightPlacement {
  const fallback = locationOf(file?.default?.weights, 'placement.default');
  const blocks = new Map<number, WeightLocation>();
  for (const rule of file?.blocks ?? []) {
    if (rule.weights === undefined) continue;
    const location = locationOf(rule.weights, 'placement.blocks');
    for (const block of parseBlocks(rule.blocks)) blocks.set(block, location);
  }
  const operators = new Map<string, WeightLocation>();
  for (const [operator, rule] of Object.entries(file?.layers ?? {})) {
    if (rule.weights === undefined) continue;
    operators.set(operator, locationOf(rule.weights, `placement.layers.${operator}`));
  }
  const all = [fallback, ...blocks.values(), ...operators.values()];
  return {
    offDevice: all.some(({ tier }) => tier !== 'npu'),
    locations: all,
    lastBlock: Math.max(-1, ...blocks.keys()),
    operators: [...operators.keys()],
    of: (layer, operator) => operators.get(operator) ?? blocks.get(layer) ?? fallback,
  };
}

function locationOf(text: string | undefined, at: string): WeightLocation {
  if (text === undefined || text === 'npu') return onDevice;
  if (text === 'cpu') return { tier: 'cpu', device: 0 };
  const match = /^cxl:(\d+)$/.exec(text);
  if (match !== null) return { tier: 'cxl', device: Number(match[1]) };
  throw new UserError(`weights "${text}": expected npu, cpu or cxl:<device>`, { at });
}

/** `0-3,7` as 0, 1, 2, 3, 7. */
function parseBlocks(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (match === null) {
      throw new UserError(`"${text}": expected block numbers and ranges, as 0-3,7`, {
        at: 'placement.blocks',
      });
    }
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  });
}

export interface OperatorSharding {
  readonly tp: number;
  /** Ranks that divide the elements of all experts, by whole experts or slices. */
  readonly expertRanks: number;
  /** Replicas of experts in every layer, over all ranks together; absent: none. */
  readonly redundantExperts?: number;
}

type Elements = (model: ModelShape, sharding: OperatorSharding) => number;

const queries: Elements = (m, { tp }) => (m.hiddenSize * m.numHeads * m.headDim) / tp;
const keys: Elements = (m, { tp }) => m.hiddenSize * kvHeadsPerRank(m, tp) * m.headDim;
const projection: Elements = (m, { tp }) => (m.hiddenSize * m.intermediateSize) / tp;
const norm: Elements = (m) => m.hiddenSize;
const gate: Elements = (m) => m.hiddenSize * (m.moe?.numExperts ?? 0);

const expertMatrix: Elements = (m, { expertRanks, redundantExperts = 0 }) =>
  (((m.moe?.numExperts ?? 0) + redundantExperts) * m.hiddenSize * (m.moe?.intermediateSize ?? 0)) /
  expertRanks;

function sharedSize(model: ModelShape): number {
  return model.moe?.sharedIntermediateSize ?? 0;
}

/** To the latent and rotary key on every rank, and to the compressed query or a rank's heads. */
function latentDown(model: ModelShape, tp: number): number {
  const { mla, hiddenSize, numHeads, headDim } = model;
  if (mla === undefined) return 0;
  const query = mla.queryRank ?? (numHeads * headDim) / tp;
  return hiddenSize * (query + mla.kvRank + mla.ropeDim);
}

/** By the names profiles use, fused and unfused. */
const operatorElements: Readonly<Record<string, Elements>> = {
  layernorm: norm,
  input_layernorm: norm,
  post_layernorm: norm,
  final_layernorm: norm,
  qk_norm: (m) => 2 * m.headDim,
  qkv_proj: (m, s) => queries(m, s) + 2 * keys(m, s),
  q_proj: queries,
  k_proj: keys,
  v_proj: keys,
  o_proj: (m, { tp }) => (m.hiddenSize * m.numHeads * (m.mla?.valueDim ?? m.headDim)) / tp,
  gate_up_proj: (m, s) => 2 * projection(m, s),
  gate_proj: projection,
  up_proj: projection,
  down_proj: projection,
  qkv_a_proj: (m, { tp }) => latentDown(m, tp),
  latent_norm: (m) => (m.mla?.kvRank ?? 0) + (m.mla?.queryRank ?? 0),
  q_b_proj: (m, { tp }) => ((m.mla?.queryRank ?? 0) * m.numHeads * m.headDim) / tp,
  kv_b_proj: (m, { tp }) =>
    m.mla === undefined ? 0 : (m.mla.kvRank * m.numHeads * (m.mla.nopeDim + m.mla.valueDim)) / tp,
  shared_gate_up_proj: (m, { tp }) => (2 * m.hiddenSize * sharedSize(m)) / tp,
  shared_down_proj: (m, { tp }) => (m.hiddenSize * sharedSize(m)) / tp,
  gate,
  'expert.w1': expertMatrix,
  'expert.w2': expertMatrix,
  'expert.w3': expertMatrix,
  lm_head: (m, { tp }) => (m.hiddenSize * m.vocabSize) / tp,
};

/**
 * Weight bytes that one rank holds of an operator; 0 for operators without weights. The embedding is
 * no operator here: only the rows of the batch's tokens are read.
 */
export function operatorWeightBytes(
  model: ModelShape,
  sharding: OperatorSharding,
  operator: string,
  dtype: Dtype,
): number {
  if (operator === 'moe') return moeBlockBytes(model, sharding, dtype);
  const elements = operatorElements[operator]?.(model, sharding) ?? 0;
  return elements * elementBytes(model, weightPartOf(operator), dtype);
}

/** Gate and all experts of one rank. */
function moeBlockBytes(
  model: ModelShape,
  { expertRanks, redundantExperts = 0 }: OperatorSharding,
  dtype: Dtype,
): number {
  const physical = (model.moe?.numExperts ?? 0) + redundantExperts;
  return gateBytes(model, dtype) + (physical * expertBytes(model, dtype)) / expertRanks;
}
