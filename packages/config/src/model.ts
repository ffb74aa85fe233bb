/**
 * A transformer's shape from its Hugging Face config.json: what decides weights, KV size and the
 * operator sequence. Fields that do not change cost are ignored; a field that would change cost in a
 * way that is not modelled is an error.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { type Dtype, dtypeBytes } from './engine.js';
import { expertFields, type MoeShape, parseExperts } from './model-experts.js';
import {
  type LatentAttentionShape,
  latentFields,
  latentKvElements,
  parseLatentAttention,
} from './model-latent.js';

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
  ...expertFields,
  ...latentFields,
});

export type HfConfig = z.infer<typeof hfConfigSchema>;

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
  /** Multi-head latent attention; absent: plain or grouped heads. */
  readonly mla?: LatentAttentionShape;
}

/** Families we can describe: how they differ from the plain Llama block. */
const modelFamilies = {
  llama: { qkNorm: false, moe: false },
  mistral: { qkNorm: false, moe: false },
  qwen2: { qkNorm: false, moe: false },
  qwen3: { qkNorm: true, moe: false },
  mixtral: { qkNorm: false, moe: true },
  phimoe: { qkNorm: false, moe: true },
  qwen2_moe: { qkNorm: false, moe: true },
  qwen3_moe: { qkNorm: true, moe: true },
  llama4: { qkNorm: false, moe: true },
  llama4_text: { qkNorm: false, moe: true },
  deepseek_v2: { qkNorm: false, moe: true },
  deepseek_v3: { qkNorm: false, moe: true },
} as const;
export type ModelFamily = keyof typeof modelFamilies;

const dtypeAliases: Record<string, Dtype> = { half: 'float16', float: 'float32' };

/**
 * @param at file name for messages
 * @throws UserError unknown family, or a field that changes cost and is not modelled
 */
export function parseModel(name: string, value: unknown, at: string): ModelShape {
  const hf = parseWith(hfConfigSchema, textPart(value), at);
  const family = hf.model_type as ModelFamily;
  const traits = modelFamilies[family];
  if (traits === undefined) {
    throw new UserError(`model_type "${hf.model_type}" is not supported`, {
      at,
      hint: `supported: ${Object.keys(modelFamilies).join(', ')}`,
    });
  }
  refuseUnmodelled(hf, at);
  const mla = parseLatentAttention(hf, at);
  const headDim = hf.head_dim ?? Math.floor(hf.hidden_size / hf.num_attention_heads);
  const intermediateSize = hf.intermediate_size_mlp ?? hf.intermediate_size ?? hf.ffn_dim;
  if (intermediateSize === null || intermediateSize === undefined) {
    throw new UserError('intermediate_size is missing', { at });
  }
  return {
    name,
    family,
    hiddenSize: hf.hidden_size,
    numLayers: hf.num_hidden_layers,
    numHeads: hf.num_attention_heads,
    // A latent is one for all heads: every rank holds it, as a single head would be replicated.
    numKvHeads: mla === undefined ? (hf.num_key_value_heads ?? hf.num_attention_heads) : 1,
    headDim: mla === undefined ? headDim : mla.nopeDim + mla.ropeDim,
    intermediateSize,
    vocabSize: hf.vocab_size,
    maxPositionEmbeddings: hf.max_position_embeddings,
    dtype: parseDtype(hf.torch_dtype ?? hf.dtype ?? 'bfloat16', at),
    tiedEmbeddings: hf.tie_word_embeddings ?? false,
    attentionBias: hf.attention_bias ?? (family === 'qwen2' || family === 'qwen2_moe'),
    lmHeadBias: hf.lm_head_bias ?? false,
    slidingWindow: hf.use_sliding_window === false ? undefined : (hf.sliding_window ?? undefined),
    qkNorm: traits.qkNorm || hf.use_qk_norm === true,
    moe: traits.moe ? parseExperts(hf, intermediateSize, at) : undefined,
    ...(mla === undefined ? {} : { mla }),
  };
}

/** Multimodal checkpoints hold the decoder's configuration in `text_config`. */
function textPart(value: unknown): unknown {
  const part = (value as { text_config?: object } | null)?.text_config;
  return part === undefined ? value : { ...(value as object), ...part };
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
    layer_types: (value) => Array.isArray(value) && new Set(value).size > 1,
  };
  for (const [key, changesCost] of Object.entries(refused)) {
    if (changesCost(hf[key])) {
      throw new UserError(`${key} changes cost and is not modelled for this family`, { at });
    }
  }
}

/** Elements that one token leaves in the KV cache of one layer, on all ranks without replication. */
export function kvElementsPerTokenPerLayer(model: ModelShape): number {
  return model.mla === undefined
    ? 2 * model.numKvHeads * model.headDim
    : latentKvElements(model.mla);
}

/** Bytes of K and V of one token on all layers and all ranks together, without replication. */
export function kvBytesPerToken(model: ModelShape, kvDtype: Dtype): number {
  return model.numLayers * kvElementsPerTokenPerLayer(model) * dtypeBytes[kvDtype];
}
