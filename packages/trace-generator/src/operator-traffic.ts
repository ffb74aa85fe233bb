/**
 * Bytes that one call of an operator moves to and from the device's own memory on one rank: its
 * weights once, what it reads and writes per token once (`rowElements`), the KV of every context once.
 * What caches keep is not left out.
 */
import {
  type Dtype,
  dtypeBytes,
  expertBytes,
  gateBytes,
  type Instance,
  kvBytesPerTokenPerLayer,
  kvHeadsPerRank,
  type ModelShape,
  operatorWeightBytes,
} from '@astrolabe/config';
import type { AttentionBatch } from '@astrolabe/profile';

interface OperatorTraffic {
  /** Of an operator whose time depends on tokens, or on rows of the head. */
  bytes(operator: string, tp: number, rows: number): number;
  attentionBytes(tp: number, batch: AttentionBatch): number;
  /** The whole MoE block of one rank. */
  moeBytes(tokens: number, activatedExperts: number): number;
}

export function operatorTraffic({ model, engine }: Instance): OperatorTraffic {
  const bytes = dtypeBytes[engine.dtype];
  const known = new Map<string, { readonly weights: number; readonly perRow: number }>();
  return {
    bytes: (operator, tp, rows) => {
      const key = `${operator} ${tp}`;
      let one = known.get(key);
      if (one === undefined) {
        const weights = callBytes(model, tp, operator, engine.dtype);
        one = { weights, perRow: (rowElements[operator]?.(widths(model, tp)) ?? 0) * bytes };
        known.set(key, one);
      }
      return one.weights + rows * one.perRow;
    },
    attentionBytes: (tp, batch) => {
      const keys = keysRead(batch, model.slidingWindow ?? Infinity);
      let tokens = batch.decodeCount;
      for (let i = 0; i < batch.prefillCount; i++) tokens += batch.prefillNewTokens[i];
      const queries = (2 * tokens * model.numHeads * model.headDim * bytes) / tp;
      return keys * kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype) + queries;
    },
    moeBytes: (tokens, activatedExperts) => {
      const { hiddenSize: h, moe } = model;
      if (moe === undefined) return 0;
      const { dtype } = engine;
      const weights = gateBytes(model, dtype) + activatedExperts * expertBytes(model, dtype);
      const picks = moe.expertsPerToken;
      const rows = tokens * ((2 + 2 * picks) * h + 4 * picks * moe.intermediateSize);
      return weights + rows * bytes;
    },
  };
}

/** One expert's matrix where experts are called one by one. */
function callBytes(model: ModelShape, tp: number, operator: string, dtype: Dtype): number {
  if (operator.startsWith('expert.')) return expertBytes(model, dtype) / 3 / tp;
  if (operator === 'embedding') return 0;
  return operatorWeightBytes(model, { tp, expertRanks: tp }, operator, dtype);
}

/** Cached and new tokens that attention looks at; a window bounds them. */
function keysRead(batch: AttentionBatch, window: number): number {
  let keys = 0;
  for (let i = 0; i < batch.prefillCount; i++) {
    const added = batch.prefillNewTokens[i];
    keys += Math.min(batch.prefillContextTokens[i], window) + added;
  }
  const { decodeCount, decodeContextSum } = batch;
  if (decodeCount === 0) return keys;
  return keys + decodeCount * Math.min(decodeContextSum / decodeCount + 1, window);
}

/** Widths of one rank's tensors, elements. */
function widths(model: ModelShape, tp: number) {
  const { mla, moe } = model;
  return {
    h: model.hiddenSize,
    q: (model.numHeads * model.headDim) / tp,
    kv: kvHeadsPerRank(model, tp) * model.headDim,
    inner: model.intermediateSize / tp,
    shared: (moe?.sharedIntermediateSize ?? 0) / tp,
    expert: (moe?.intermediateSize ?? 0) / tp,
    experts: moe?.numExperts ?? 0,
    vocabulary: model.vocabSize / tp,
    latent: (mla?.kvRank ?? 0) + (mla?.ropeDim ?? 0),
    queryRank: mla?.queryRank ?? 0,
    expanded: (model.numHeads * ((mla?.nopeDim ?? 0) + (mla?.valueDim ?? 0))) / tp,
  };
}

type Elements = (width: ReturnType<typeof widths>) => number;

/** Hidden state and residual, in and out. */
const norm: Elements = ({ h }) => 4 * h;
const rotation: Elements = ({ q, kv }) => 2 * (q + kv);
const halfGateUp: Elements = ({ h, inner }) => h + inner;
const expertMatrix: Elements = ({ h, expert }) => h + expert;
const keyOrValue: Elements = ({ h, kv }) => h + kv;

/** Elements read and written per token, by the names profiles use. */
const rowElements: Readonly<Record<string, Elements>> = {
  embedding: ({ h }) => 2 * h,
  layernorm: norm,
  input_layernorm: norm,
  post_layernorm: norm,
  final_layernorm: norm,
  qk_norm: rotation,
  qkv_proj: ({ h, q, kv }) => h + q + 2 * kv,
  q_proj: ({ h, q }) => h + q,
  k_proj: keyOrValue,
  v_proj: keyOrValue,
  rotary_emb: rotation,
  rope: rotation,
  o_proj: ({ h, q }) => q + h,
  gate_up_proj: ({ h, inner }) => h + 2 * inner,
  gate_proj: halfGateUp,
  up_proj: halfGateUp,
  act_fn: ({ inner }) => 3 * inner,
  down_proj: halfGateUp,
  shared_gate_up_proj: ({ h, shared }) => h + 2 * shared,
  shared_act_fn: ({ shared }) => 3 * shared,
  shared_down_proj: ({ h, shared }) => shared + h,
  qkv_a_proj: ({ h, q, queryRank, latent }) => h + (queryRank === 0 ? q : queryRank) + latent,
  latent_norm: ({ queryRank, latent }) => 2 * (queryRank + latent),
  q_b_proj: ({ q, queryRank }) => queryRank + q,
  kv_b_proj: ({ latent, expanded }) => latent + expanded,
  gate: ({ h, experts }) => h + experts,
  'expert.w1': expertMatrix,
  'expert.w2': expertMatrix,
  'expert.w3': expertMatrix,
  lm_head: ({ h, vocabulary }) => h + vocabulary,
  sampler: ({ vocabulary }) => 2 * vocabulary,
};
