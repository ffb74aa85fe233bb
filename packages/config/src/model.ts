/**
 * A transformer's shape from its Hugging Face config.json: what decides weights, KV size and the
 * operator sequence. Fields that do not change cost are ignored; a field that would change cost in a
 * way that is not modelled is an error.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { type Dtype, dtypeBytes } from './engine.js';

const positive = z.number().int().positive();

const hfConfigSchema = z.looseObject({
  model_type: z.string(),
  hidden_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  intermediate_size: positive.nullish(),
  ffn_dim: positive.nullish(),
  vocab_size: positive,
  max_position_embeddings: positive,
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().nullish(),
  lm_head_bias: z.boolean().nullish(),
  sliding_window: positive.nullish(),
  use_sliding_window: z.boolean().nullish(),
  num_local_experts: positive.nullish(),
  num_experts: positive.nullish(),
  num_experts_per_tok: positive.nullish(),
  moe_intermediate_size: positive.nullish(),
});

export type HfConfig = z.infer<typeof hfConfigSchema>;

/** Experts of a mixture-of-experts model. */
export interface MoeShape {
  readonly numExperts: number;
  readonly expertsPerToken: number;
  readonly intermediateSize: number;
}

export interface ModelShape {
  readonly name: string;
  readonly family: ModelFamily;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Of the dense feed-forward block. */
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly dtype: Dtype;
  readonly tiedEmbeddings: boolean;
  readonly attentionBias: boolean;
  readonly lmHeadBias: boolean;
  readonly slidingWindow: number | undefined;
  readonly qkNorm: boolean;
  readonly moe: MoeShape | undefined;
}

/** Families we can describe: how they differ from the plain Llama block. */
export const modelFamilies = {
  llama: { qkNorm: false, moe: false },
  mistral: { qkNorm: false, moe: false },
  qwen2: { qkNorm: false, moe: false },
  qwen3: { qkNorm: true, moe: false },
  mixtral: { qkNorm: false, moe: true },
  phimoe: { qkNorm: false, moe: true },
  qwen3_moe: { qkNorm: true, moe: true },
} as const;
export type ModelFamily = keyof typeof modelFamilies;

const dtypeAliases: Record<string, Dtype> = { half: 'float16', float: 'float32' };

/**
 * @param at file name for messages
 * @throws UserError unknown family, or a field that changes cost and is not modelled
 */
export function parseModel(name: string, value: unknown, at: string): ModelShape {
  const hf = parseWith(hfConfigSchema, value, at);
  const family = hf.model_type as ModelFamily;
  const traits = modelFamilies[family];
  if (traits === undefined) {
    throw new UserError(`model_type "${hf.model_type}" is not supported`, {
      at,
      hint: `supported: ${Object.keys(modelFamilies).join(', ')}`,
    });
  }
  refuseUnmodelled(hf, at);
  const headDim = hf.head_dim ?? Math.floor(hf.hidden_size / hf.num_attention_heads);
  const intermediateSize = hf.intermediate_size ?? hf.ffn_dim;
  if (intermediateSize === null || intermediateSize === undefined) {
    throw new UserError('intermediate_size is missing', { at });
  }
  return {
    name,
    family,
    hiddenSize: hf.hidden_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    numKvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim,
    intermediateSize,
    vocabSize: hf.vocab_size,
    maxPositionEmbeddings: hf.max_position_embeddings,
    dtype: parseDtype(hf.torch_dtype ?? hf.dtype ?? 'bfloat16', at),
    tiedEmbeddings: hf.tie_word_embeddings ?? false,
    attentionBias: hf.attention_bias ?? family === 'qwen2',
    lmHeadBias: hf.lm_head_bias ?? false,
    slidingWindow: hf.use_sliding_window === false ? undefined : (hf.sliding_window ?? undefined),
    qkNorm: traits.qkNorm,
    moe: traits.moe ? parseMoe(hf, intermediateSize, at) : undefined,
  };
}

function parseMoe(hf: HfConfig, intermediateSize: number, at: string): MoeShape {
  const numExperts = hf.num_local_experts ?? hf.num_experts;
  if (numExperts === null || numExperts === undefined) {
    throw new UserError('num_experts (or num_local_experts) is missing', { at });
  }
  return {
    numExperts,
    expertsPerToken: hf.num_experts_per_tok ?? 1,
    intermediateSize: hf.moe_intermediate_size ?? intermediateSize,
  };
}

function parseDtype(text: string, at: string): Dtype {
  const dtype = (dtypeAliases[text] ?? text) as Dtype;
  if (dtypeBytes[dtype] === undefined) {
    throw new UserError(`torch_dtype "${text}" is not supported`, {
      at,
      hint: `supported: ${Object.keys(dtypeBytes).join(', ')}`,
    });
  }
  return dtype;
}

/** Fields that change cost and have no model here yet: silence would be a wrong answer. */
function refuseUnmodelled(hf: HfConfig, at: string): void {
  const refused: Record<string, (value: unknown) => boolean> = {
    quantization_config: (value) => value != null,
    mlp_only_layers: (value) => Array.isArray(value) && value.length > 0,
    decoder_sparse_step: (value) => value != null && value !== 1,
    n_shared_experts: (value) => value != null && value !== 0,
    shared_expert_intermediate_size: (value) => value != null && value !== 0,
    first_k_dense_replace: (value) => value != null && value !== 0,
    kv_lora_rank: (value) => value != null,
    layer_types: (value) => Array.isArray(value) && new Set(value).size > 1,
  };
  for (const [key, changesCost] of Object.entries(refused)) {
    if (changesCost(hf[key])) {
      throw new UserError(`${key} changes cost and is not modelled for this family`, { at });
    }
  }
}

/** Bytes of K and V of one token on all layers and all ranks together, without replication. */
export function kvBytesPerToken(model: ModelShape, kvDtype: Dtype): number {
  return 2 * model.numLayers * model.numKvHeads * model.headDim * dtypeBytes[kvDtype];
}
