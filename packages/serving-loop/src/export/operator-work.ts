/**
 * What an operator of a decoder computes and moves on one rank: operations, and bytes of input,
 * weights and output, for readers that have their own rooflines (`num_ops`, `tensor_size`) and for
 * LLMServingSim's text traces. Shapes as in the design notes' table of layers. A matrix product of
 * t x k by k x n is 2 t k n operations; attention reads the KV cache of each request once.
 */
import { dtypeBytes, type Instance } from '@astrolabe/config';

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

export function batchShape(
  newTokens: readonly number[],
  contextTokens: readonly number[],
): BatchShape {
  let tokens = 0;
  let attendedPairs = 0;
  let cachedTokens = 0;
  newTokens.forEach((count, i) => {
    tokens += count;
    attendedPairs += count * (contextTokens[i] + (count + 1) / 2);
    cachedTokens += contextTokens[i] + count;
  });
  const sequences = Math.max(1, newTokens.length);
  return { tokens: Math.max(1, tokens), sequences, attendedPairs, cachedTokens };
}

/** @param operator a node's name without its layer. @returns undefined for host time and the like */
export function operatorWork(
  operator: string,
  { model, tp, ep, engine }: Instance,
  batch: BatchShape,
): Work | undefined {
  const bytes = dtypeBytes[engine.dtype];
  const { tokens: t, sequences: s } = batch;
  const h = model.hiddenSize;
  const q = (model.numHeads * model.headDim) / tp;
  const kv = Math.max(1, Math.floor(model.numKvHeads / tp)) * model.headDim;
  const inner = model.intermediateSize / tp;
  const gemm = (rows: number, k: number, n: number): Work => ({
    numOps: 2 * rows * k * n,
    inputBytes: rows * k * bytes,
    weightBytes: k * n * bytes,
    outputBytes: rows * n * bytes,
  });
  const elementwise = (input: number, output: number, weights = 0): Work => ({
    numOps: Math.max(input, output),
    inputBytes: input * bytes,
    weightBytes: weights * bytes,
    outputBytes: output * bytes,
  });
  switch (operator) {
    case 'embedding':
      return elementwise(t, t * h, t * h);
    case 'input_layernorm':
    case 'post_layernorm':
      return elementwise(2 * t * h, 2 * t * h, h);
    case 'final_layernorm':
      return elementwise(2 * t * h, t * h, h);
    case 'qkv_proj':
      return gemm(t, h, q + 2 * kv);
    case 'q_proj':
      return gemm(t, h, q);
    case 'k_proj':
    case 'v_proj':
      return gemm(t, h, kv);
    case 'qk_norm':
    case 'rotary_emb':
    case 'rope':
      return elementwise(t * (q + kv), t * (q + kv));
    case 'attention':
    case 'attn':
      return {
        numOps: 4 * batch.attendedPairs * q,
        inputBytes: (t * (q + 2 * kv) + 2 * batch.cachedTokens * kv) * bytes,
        weightBytes: 0,
        outputBytes: t * q * bytes,
      };
    case 'o_proj':
      return gemm(t, q, h);
    case 'gate_up_proj':
      return gemm(t, h, 2 * inner);
    case 'gate_proj':
    case 'up_proj':
      return gemm(t, h, inner);
    case 'act_fn':
      return elementwise(2 * t * inner, t * inner);
    case 'down_proj':
      return gemm(t, inner, h);
    case 'lm_head':
      return gemm(s, h, model.vocabSize / tp);
    case 'sampler':
      return elementwise(s * model.vocabSize, s);
    case 'moe':
      return expertWork();
    default:
      return undefined;
  }

  /** All experts of one rank: every weight is read once that a token is routed to. */
  function expertWork(): Work | undefined {
    const { moe } = model;
    if (moe === undefined) return undefined;
    const pairs = (t * moe.expertsPerToken) / Math.max(1, ep);
    const active = Math.min(moe.numExperts / Math.max(1, ep), Math.ceil(pairs));
    const matrix = 3 * h * moe.intermediateSize;
    return {
      numOps: 2 * pairs * matrix,
      inputBytes: pairs * h * bytes,
      weightBytes: active * matrix * bytes,
      outputBytes: pairs * h * bytes,
    };
  }
}

/** Bytes that go over the memory bus. */
export function movedBytes(work: Work): number {
  return work.inputBytes + work.weightBytes + work.outputBytes;
}
