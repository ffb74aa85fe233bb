/**
 * Whether a profile covers a model and a workload: operators it lacks, and the share of lookups that
 * leave the measured range when the workload's batches are looked up.
 */
import type { ModelShape } from '@astrolabe/config';
import { type AttentionBatch, attentionParts, type LatencyModel } from '@astrolabe/profile';

/** One batch: per request its new tokens and those already cached. */
export interface CheckedBatch {
  readonly newTokens: readonly number[];
  readonly contextTokens: readonly number[];
}

export interface Coverage {
  readonly missing: readonly string[];
  readonly lookups: number;
  readonly extrapolated: number;
  readonly longestContext: number;
  readonly mostTokens: number;
}

/** Operators of the blocks and of the ends, as our traces name them. */
function operatorsOf(shape: ModelShape): string[] {
  const feedForward = ['gate_up_proj', 'act_fn', 'down_proj'];
  const plain = ['qkv_proj', ...(shape.qkNorm ? ['qk_norm'] : [])];
  const query = shape.mla?.queryRank === undefined ? [] : ['q_b_proj'];
  const latent = ['qkv_a_proj', 'latent_norm', ...query, 'kv_b_proj'];
  const { moe } = shape;
  const shared = moe?.sharedIntermediateSize !== undefined;
  return [
    'embedding',
    'layernorm',
    ...(shape.mla === undefined ? plain : latent),
    'rotary_emb',
    'attention',
    'o_proj',
    ...(moe === undefined || moe.denseLayers !== undefined ? feedForward : []),
    ...(shared ? feedForward.map((name) => `shared_${name}`) : []),
    ...(moe === undefined ? [] : ['moe']),
    'final_layernorm',
    'lm_head',
  ];
}

export function checkCoverage(
  model: LatencyModel,
  shape: ModelShape,
  tp: number,
  batches: Iterable<CheckedBatch>,
): Coverage {
  const operators = operatorsOf(shape);
  const missing = operators.filter((operator) => !model.has(operator, tp));
  if (!missing.includes('attention')) {
    missing.push(...attentionParts.filter((part) => !model.has(part, tp)));
  }
  const perSequence = ['lm_head'];
  const dense = operators.filter(
    (name) => !missing.includes(name) && !['attention', 'moe', ...perSequence].includes(name),
  );
  const { counters } = model;
  const before = { ...counters };
  let longestContext = 0;
  let mostTokens = 0;
  for (const batch of batches) {
    const tokens = batch.newTokens.reduce((sum, count) => sum + count, 0);
    mostTokens = Math.max(mostTokens, tokens);
    longestContext = Math.max(longestContext, ...batch.contextTokens);
    for (const operator of dense) model.denseNs(operator, tp, tokens);
    for (const operator of perSequence) {
      if (!missing.includes(operator)) model.perSequenceNs(operator, tp, batch.newTokens.length);
    }
    if (!missing.some((name) => name.startsWith('attention')))
      model.attentionNs(tp, attentionBatch(batch));
    if (shape.moe !== undefined && !missing.includes('moe')) {
      const reached = Math.min(shape.moe.numExperts, tokens * shape.moe.expertsPerToken);
      model.moeNs(tp, tokens, reached);
    }
  }
  const extrapolated = counters.extrapolated - before.extrapolated;
  const known = counters.exact - before.exact + counters.interpolated - before.interpolated;
  return { missing, lookups: known + extrapolated, extrapolated, longestContext, mostTokens };
}

/** One new token after some context is a decode. */
function attentionBatch({ newTokens, contextTokens }: CheckedBatch): AttentionBatch {
  const isDecode = newTokens.map((count, i) => count === 1 && contextTokens[i] > 0);
  const decodes = contextTokens.filter((_, i) => isDecode[i]);
  return {
    prefillCount: newTokens.length - decodes.length,
    prefillNewTokens: newTokens.filter((_, i) => !isDecode[i]),
    prefillContextTokens: contextTokens.filter((_, i) => !isDecode[i]),
    decodeCount: decodes.length,
    decodeContextSum: decodes.reduce((sum, context) => sum + context, 0),
    decodeContexts: decodes,
  };
}
