/**
 * A transformer's shape from its Hugging Face config.json: what decides weights, KV size and the
 * operator sequence. Fields that do not change cost are ignored; a field that would change cost in a
 * way that is not modelled is an error.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import { type Dtype, dtypeBytes } from './engine.js';
import { expertFields, type MoeShape, parseExperts } from './model-experts.js';
import { familyOf, type ModelFamily, modelFamilies } from './model-families.js';
import {
  type LatentAttentionShape,
  latentFields,
  latentKvElements,
  parseLatentAttention,
} from './model-latent.js';
import {
  attentionSpans,
  type LocalAttention,
  localAttentionFields,
} from './model-local-attention.js';
import { parseQuantization, type Quantization } from './model-quantization.js';

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
  num_local_experts: positive.nullish(),
  num_experts: positive.nullish(),
  num_experts_per_tok: positive.nullish(),
  moe_intermediate_size: positive.nullish(),
  ...expertFields,
  ...latentFields,
  ...localAttentionFields,
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
  /** Of all layers. */
  readonly slidingWindow: number | undefined;
  /** Layers that attend to a part of the context, others to all of it; absent: all attend alike. */
  readonly localAttention?: LocalAttention;
  readonly qkNorm: boolean;
  readonly moe: MoeShape | undefined;
  /** Multi-head latent attention; absent: plain or grouped heads. */
  readonly mla?: LatentAttentionShape;
  /** Norms behind attention and feed-forward block, too; absent: before them alone. */
  readonly sandwichNorms?: true;
  /** Biases of the attention's output and of experts; absent: none. */
  readonly allBiases?: true;
  /** Absent: weights are of the model's type. */
  readonly quantization?: Quantization;
}

const dtypeAliases: Record<string, Dtype> = { half: 'float16', float: 'float32' };

/**
 * @param at file name for messages
 * @throws UserError unknown family, or a field that changes cost and is not modelled
 */
export function parseModel(name: string, value: unknown, at: string): ModelShape {
  const config = textPart(value, at);
  const family = familyOf(config, at);
  const traits = modelFamilies[family];
  const hf = parseWith(hfConfigSchema, { ...traits.defaults, ...config }, at);
  const mla = parseLatentAttention(hf, at);
  const headDim = hf.head_dim ?? Math.floor(hf.hidden_size / hf.num_attention_heads);
  const intermediateSize = hf.intermediate_size_mlp ?? hf.intermediate_size ?? hf.ffn_dim;
  if (intermediateSize === null || intermediateSize === undefined) {
    throw new UserError('intermediate_size is missing', { at });
  }
  const quantization = parseQuantization(hf.quantization_config, hf.num_hidden_layers, at);
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
    attentionBias: hf.attention_bias ?? false,
    lmHeadBias: hf.lm_head_bias ?? false,
    ...attentionSpans(hf, at),
    qkNorm: traits.qkNorm === true || hf.use_qk_norm === true,
    moe: traits.moe === true ? parseExperts(hf, intermediateSize, at) : undefined,
    ...(mla === undefined ? {} : { mla }),
    ...(traits.sandwichNorms === undefined ? {} : { sandwichNorms: true }),
    ...(traits.allBiases === undefined ? {} : { allBiases: true }),
    ...(quantization === undefined ? {} : { quantization }),
  };
}

const configSchema = z.looseObject({
  model_type: z.string(),
  text_config: z.looseObject({}).nullish(),
});

/** Multimodal checkpoints hold the decoder's configuration in `text_config`. */
function textPart(value: unknown, at: string): Record<string, unknown> {
  const { text_config: part, ...whole } = parseWith(configSchema, value, at);
  return { ...whole, ...part };
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

/** Whether a layer attends to a part of the context while others attend to all of it. */
export function attendsLocally({ localAttention }: ModelShape, layer: number): boolean {
  return localAttention?.layers.includes(layer) ?? false;
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
