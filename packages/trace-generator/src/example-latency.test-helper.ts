/** A latency model of plain formulas: for tests and for trying things without a profile. */
import type { AttentionBatch, LatencyModel } from '@astrolabe/profile';

/**
 * Dense operators take 10 ns per token, per-sequence ones 100 ns per row, attention 1 ns per new
 * token and context token of prefills and per context token of decodes, MoE blocks 7 ns per token
 * and 1000 ns per activated expert; all divided by TP.
 */
export function exampleLatency(
  operators: readonly string[],
  tpDegrees: readonly number[] = [1, 2, 4, 8],
): LatencyModel {
  return {
    hardware: 'example',
    model: 'example',
    dtype: 'bfloat16',
    source: 'formulas',
    tpDegrees,
    counters: { exact: 0, interpolated: 0, extrapolated: 0 },
    has: (operator, tp) => tpDegrees.includes(tp) && operators.includes(operator),
    denseNs: (_, tp, tokens) => Math.round((10 * tokens) / tp),
    perSequenceNs: (_, tp, sequences) => Math.round((100 * sequences) / tp),
    attentionNs: (tp, batch) => Math.max(1, Math.round(attentionWork(batch) / tp)),
    moeNs: (_, tokens, activatedExperts) => Math.round(7 * tokens + 1000 * activatedExperts),
  };
}

function attentionWork(batch: AttentionBatch): number {
  let work = batch.decodeContextSum;
  for (let i = 0; i < batch.prefillCount; i++) {
    work += batch.prefillNewTokens[i] + batch.prefillContextTokens[i];
  }
  return work;
}

export const fusedOperators = [
  'embedding',
  'layernorm',
  'qkv_proj',
  'qk_norm',
  'rotary_emb',
  'attention',
  'o_proj',
  'gate_up_proj',
  'act_fn',
  'down_proj',
  'moe',
  'qkv_a_proj',
  'latent_norm',
  'q_b_proj',
  'kv_b_proj',
  'shared_gate_up_proj',
  'shared_act_fn',
  'shared_down_proj',
  'final_layernorm',
  'lm_head',
  'sampler',
];

export const unfusedOperators = [
  'embedding',
  'input_layernorm',
  'q_proj',
  'k_proj',
  'v_proj',
  'rope',
  'attention',
  'o_proj',
  'post_layernorm',
  'gate_proj',
  'up_proj',
  'act_fn',
  'down_proj',
  'final_layernorm',
  'lm_head',
];
