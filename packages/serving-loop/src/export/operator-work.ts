/**
 * What an operator of a decoder computes and moves on one rank: operations, and bytes of input,
 * weights and output, for readers that have their own rooflines (`num_ops`, `tensor_size`) and for
 * LLMServingSim's text traces. Shapes as vLLM's layers have them. A matrix product of
 * t x k by k x n is 2 t k n operations; attention reads the KV cache of each request once.
 */
import {
  dtypeBytes,
  elementBytes,
  expertBytes,
  type Instance,
  kvHeadsPerRank,
  type LocalAttention,
  weightPartOf,
} from '@astrolabe/config';

export interface Work {
  readonly numOps: number;
  readonly inputBytes: number;
  readonly weightBytes: number;
  readonly outputBytes: number;
}

/** One batch, as the operators see it. */
export interface BatchShape {
  readonly tokens: number;
  readonly sequences: number;
  /** Sum over requests of new tokens times the mean number of tokens they look at. */
  readonly attendedPairs: number;
  /** Sum over requests of tokens in the cache, new ones included. */
  readonly cachedTokens: number;
}

/**
 * @param newTokens by request. @param contextTokens in the cache before them, likewise
 * @param local what the layer attends to; absent: all tokens before
 */
export function batchShape(
  newTokens: readonly number[],
  contextTokens: readonly number[],
  local?: Pick<LocalAttention, 'span' | 'chunked'>,
): BatchShape {
  let tokens = 0;
  let attendedPairs = 0;
  let cachedTokens = 0;
  const span = local?.span ?? Number.POSITIVE_INFINITY;
  newTokens.forEach((count, i) => {
    tokens += count;
    const before = local?.chunked === true ? contextTokens[i] % span : contextTokens[i];
    cachedTokens += Math.min(before, span - 1) + count;
    if (local?.chunked === true)
      attendedPairs += pairsTo(before + count, span) - pairsTo(before, span);
    else {
      const growing = Math.min(count, Math.max(0, span - before));
      const full = count - growing;
      attendedPairs += growing * (before + (growing + 1) / 2) + (full > 0 ? full * span : 0);
    }
  });
  const sequences = Math.max(1, newTokens.length);
  return { tokens: Math.max(1, tokens), sequences, attendedPairs, cachedTokens };
}

/** Pairs of the first tokens of a sequence, each with those of its own chunk up to itself. */
function pairsTo(tokens: number, span: number): number {
  const rest = tokens % span;
  return (Math.floor(tokens / span) * span * (span + 1) + rest * (rest + 1)) / 2;
}

/** Sizes of one rank's operators, elements. */
interface RankShape {
  readonly tokens: number;
  readonly sequences: number;
  readonly hidden: number;
  readonly q: number;
  readonly kv: number;
  /** Inside the feed-forward block. */
  readonly inner: number;
  readonly vocabulary: number;
  /** Logits that the rank computes of each row. */
  readonly logits: number;
  readonly bytesPerElement: number;
}

/** Rows of k times k by n. */
function gemm(rows: number, k: number, n: number, { bytesPerElement }: RankShape): Work {
  return {
    numOps: 2 * rows * k * n,
    inputBytes: rows * k * bytesPerElement,
    weightBytes: k * n * bytesPerElement,
    outputBytes: rows * n * bytesPerElement,
  };
}

function elementwise(
  input: number,
  output: number,
  { bytesPerElement }: RankShape,
  weights = 0,
): Work {
  return {
    numOps: Math.max(input, output),
    inputBytes: input * bytesPerElement,
    weightBytes: weights * bytesPerElement,
    outputBytes: output * bytesPerElement,
  };
}

type WorkOf = (s: RankShape) => Work;

const layerNorm: WorkOf = (s) =>
  elementwise(2 * s.tokens * s.hidden, 2 * s.tokens * s.hidden, s, s.hidden);
const rotate: WorkOf = (s) => elementwise(s.tokens * (s.q + s.kv), s.tokens * (s.q + s.kv), s);
const kvProjection: WorkOf = (s) => gemm(s.tokens, s.hidden, s.kv, s);
const upProjection: WorkOf = (s) => gemm(s.tokens, s.hidden, s.inner, s);

/** Operators whose work follows from shapes alone; both namings of LLMServingSim. */
const shaped: Readonly<Record<string, WorkOf>> = {
  embedding: (s) => elementwise(s.tokens, s.tokens * s.hidden, s, s.tokens * s.hidden),
  input_layernorm: layerNorm,
  post_layernorm: layerNorm,
  post_attention_layernorm: layerNorm,
  post_feedforward_layernorm: layerNorm,
  final_layernorm: (s) => elementwise(2 * s.tokens * s.hidden, s.tokens * s.hidden, s, s.hidden),
  qkv_proj: (s) => gemm(s.tokens, s.hidden, s.q + 2 * s.kv, s),
  q_proj: (s) => gemm(s.tokens, s.hidden, s.q, s),
  k_proj: kvProjection,
  v_proj: kvProjection,
  qk_norm: rotate,
  rotary_emb: rotate,
  rope: rotate,
  o_proj: (s) => gemm(s.tokens, s.q, s.hidden, s),
  gate_up_proj: (s) => gemm(s.tokens, s.hidden, 2 * s.inner, s),
  gate_proj: upProjection,
  up_proj: upProjection,
  act_fn: (s) => elementwise(2 * s.tokens * s.inner, s.tokens * s.inner, s),
  down_proj: (s) => gemm(s.tokens, s.inner, s.hidden, s),
  lm_head: (s) => gemm(s.sequences, s.hidden, s.logits, s),
  sampler: (s) => elementwise(s.sequences * s.vocabulary, s.sequences, s),
};

/** @param operator a node's name without its layer. @returns undefined for host time and the like */
export function operatorWork(
  operator: string,
  instance: Instance,
  batch: BatchShape,
): Work | undefined {
  const shape = rankShape(instance, batch);
  if (operator === 'attention' || operator === 'attn') return attentionWork(shape, batch);
  if (operator === 'moe') return expertWork(shape, instance);
  if (!Object.hasOwn(shaped, operator)) return undefined;
  const work = shaped[operator](shape);
  const { model, engine } = instance;
  const perElement = elementBytes(model, weightPartOf(operator), engine.dtype);
  return { ...work, weightBytes: (work.weightBytes / shape.bytesPerElement) * perElement };
}

function rankShape({ model, tp, engine }: Instance, batch: BatchShape): RankShape {
  return {
    tokens: batch.tokens,
    sequences: batch.sequences,
    hidden: model.hiddenSize,
    q: (model.numHeads * model.headDim) / tp,
    kv: kvHeadsPerRank(model, tp) * model.headDim,
    inner: model.intermediateSize / tp,
    vocabulary: model.vocabSize,
    logits: model.vocabSize / tp,
    bytesPerElement: dtypeBytes[engine.dtype],
  };
}

function attentionWork({ tokens, q, kv, bytesPerElement }: RankShape, batch: BatchShape): Work {
  return {
    numOps: 4 * batch.attendedPairs * q,
    inputBytes: (tokens * (q + 2 * kv) + 2 * batch.cachedTokens * kv) * bytesPerElement,
    weightBytes: 0,
    outputBytes: tokens * q * bytesPerElement,
  };
}

/** All experts of one rank: every weight is read once that a token is routed to. */
function expertWork(
  { tokens, hidden, bytesPerElement }: RankShape,
  { model, ep, engine }: Instance,
): Work | undefined {
  const { moe } = model;
  if (moe === undefined) return undefined;
  const pairs = (tokens * moe.expertsPerToken) / Math.max(1, ep);
  const active = Math.min(moe.numExperts / Math.max(1, ep), Math.ceil(pairs));
  const matrix = 3 * hidden * moe.intermediateSize;
  return {
    numOps: 2 * pairs * matrix,
    inputBytes: pairs * hidden * bytesPerElement,
    weightBytes: active * expertBytes(model, engine.dtype),
    outputBytes: pairs * hidden * bytesPerElement,
  };
}

/** Bytes that go over the memory bus. */
export function movedBytes(work: Work): number {
  return work.inputBytes + work.weightBytes + work.outputBytes;
}
