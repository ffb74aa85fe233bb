/**
 * Families of decoder-only transformers whose config.json is read: what they have beyond the plain
 * Llama block, and the defaults of their configuration classes in Hugging Face's transformers for what
 * published files leave out. Families with another kind of layer (state space, linear attention) are
 * not here, so they are refused.
 */
import { UserError } from '@astrolabe/base';

interface FamilyTraits {
  readonly qkNorm?: true;
  readonly moe?: true;
  /** Norms behind attention and feed-forward block, too: four a block. */
  readonly sandwichNorms?: true;
  /** Biases of the attention's output, the router and the experts, too. */
  readonly allBiases?: true;
  /** What a file that does not say otherwise means. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/** Configuration classes of Qwen and SmolLM3 have a window only where a file switches it on. */
const noWindow = { use_sliding_window: false };
const plain: FamilyTraits = {};
const experts: FamilyTraits = { moe: true };
const biased: FamilyTraits = { defaults: { ...noWindow, attention_bias: true } };
const tied = { tie_word_embeddings: true };
const llama4: FamilyTraits = { moe: true, defaults: { attention_chunk_size: 8192 } };
const gemma2: FamilyTraits = { sandwichNorms: true, defaults: { ...tied, sliding_window: 4096 } };
const gemma3: FamilyTraits = {
  qkNorm: true,
  sandwichNorms: true,
  defaults: {
    ...tied,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    vocab_size: 262_208,
    max_position_embeddings: 131_072,
    sliding_window: 4096,
  },
};

const families = {
  llama: plain,
  mistral: plain,
  phi3: plain,
  granite: plain,
  smollm3: { defaults: { ...noWindow, ...tied } },
  gemma: { defaults: tied },
  gemma2,
  gemma3_text: gemma3,
  qwen2: biased,
  qwen2_5_vl: biased,
  qwen2_5_vl_text: biased,
  qwen3: { qkNorm: true, defaults: noWindow },
  qwen3_vl_text: { qkNorm: true, defaults: noWindow },
  mixtral: experts,
  phimoe: experts,
  qwen2_moe: { moe: true, defaults: { ...noWindow, attention_bias: true } },
  qwen3_moe: { qkNorm: true, moe: true, defaults: noWindow },
  qwen3_vl_moe_text: { qkNorm: true, moe: true, defaults: noWindow },
  llama4,
  llama4_text: llama4,
  deepseek_v2: experts,
  deepseek_v3: experts,
  kimi_k2: experts,
  glm4_moe: experts,
  gpt_oss: {
    moe: true,
    allBiases: true,
    defaults: { attention_bias: true, sliding_window: 128, head_dim: 64 },
  },
} satisfies Record<string, FamilyTraits>;

export type ModelFamily = keyof typeof families;
export const modelFamilies: Readonly<Record<ModelFamily, FamilyTraits>> = families;

/** Keys by which files say that not all layers are attention. */
const otherLayers = /^(mamba|ssm|linear|rwkv|conv|recurrent|lru)_|^(state_size|d_state)$/;
const otherPatterns = ['full_attention_interval', 'hybrid_override_pattern', 'layers_block_type'];

/** @throws UserError a family that is not known */
export function familyOf(config: Readonly<Record<string, unknown>>, at: string): ModelFamily {
  const family = String(config.model_type);
  if (Object.hasOwn(families, family)) return family as ModelFamily;
  const sign = Object.keys(config).find(
    (key) => otherLayers.test(key) || otherPatterns.includes(key),
  );
  throw new UserError(
    `model_type "${family}" is not supported` +
      (sign === undefined ? '' : `: by its ${sign} it has layers other than attention`),
    { at, hint: `supported: ${Object.keys(families).join(', ')}` },
  );
}
