/**
 * Parameters of well-known models, from the fields of their published config.json that decide, against
 * the totals that Hugging Face shows for their decoders (text alone, without draft layers).
 */
import { describe, expect, it } from 'vitest';
import { kvGroupsOf } from './kv-groups.js';
import { attendsLocally, kvBytesPerToken, parseModel } from './model.js';
import { weightBytes } from './model-size.js';

const one = { tp: 1, pp: 1, ep: 1 };
const llama = { model_type: 'llama', vocab_size: 128_256, max_position_embeddings: 131_072 };
const llama8b = {
  ...llama,
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  num_hidden_layers: 32,
};
const latent = {
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
};
const deepseekV3 = {
  ...latent,
  model_type: 'deepseek_v3',
  hidden_size: 7168,
  intermediate_size: 18_432,
  moe_intermediate_size: 2048,
  n_routed_experts: 256,
  n_shared_experts: 1,
  num_experts_per_tok: 8,
  first_k_dense_replace: 3,
  moe_layer_freq: 1,
  num_attention_heads: 128,
  num_key_value_heads: 128,
  num_hidden_layers: 61,
  vocab_size: 129_280,
  max_position_embeddings: 163_840,
  num_nextn_predict_layers: 1,
};
const gptOss = {
  model_type: 'gpt_oss',
  hidden_size: 2880,
  intermediate_size: 2880,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  num_experts_per_tok: 4,
  vocab_size: 201_088,
  max_position_embeddings: 131_072,
};
const mxfp4 = {
  quant_method: 'mxfp4',
  modules_to_not_convert: ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'lm_head'],
};
const gemma3 = {
  model_type: 'gemma3',
  text_config: {
    model_type: 'gemma3_text',
    head_dim: 128,
    hidden_size: 5376,
    intermediate_size: 21_504,
    num_attention_heads: 32,
    num_hidden_layers: 62,
    num_key_value_heads: 16,
    sliding_window: 1024,
  },
};
const gemma2 = {
  model_type: 'gemma2',
  head_dim: 256,
  hidden_size: 3584,
  intermediate_size: 14_336,
  num_attention_heads: 16,
  num_hidden_layers: 42,
  num_key_value_heads: 8,
  vocab_size: 256_000,
  max_position_embeddings: 8192,
};
const llama4 = {
  model_type: 'llama4',
  text_config: {
    model_type: 'llama4_text',
    head_dim: 128,
    hidden_size: 5120,
    intermediate_size: 8192,
    intermediate_size_mlp: 16_384,
    interleave_moe_layer_step: 2,
    num_attention_heads: 40,
    num_experts_per_tok: 1,
    num_hidden_layers: 48,
    num_key_value_heads: 8,
    num_local_experts: 128,
    vocab_size: 202_048,
    max_position_embeddings: 1_048_576,
    use_qk_norm: false,
    no_rope_layers: [],
  },
};
const qwen = { vocab_size: 151_936, max_position_embeddings: 32_768 };

/** Config, parameters, bytes of KV per token in bf16. */
const zoo: Record<string, [object, number, number]> = {
  'Llama-3.1-8B': [llama8b, 8_030_261_248, 131_072],
  'Llama-3.1-405B': [
    {
      ...llama,
      hidden_size: 16_384,
      intermediate_size: 53_248,
      num_attention_heads: 128,
      num_key_value_heads: 8,
      num_hidden_layers: 126,
    },
    405_853_388_800,
    516_096,
  ],
  'Qwen2.5-0.5B': [
    {
      ...qwen,
      model_type: 'qwen2',
      hidden_size: 896,
      intermediate_size: 4864,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      tie_word_embeddings: true,
    },
    494_032_768,
    12_288,
  ],
  'Qwen3-235B-A22B': [
    {
      ...qwen,
      model_type: 'qwen3_moe',
      head_dim: 128,
      hidden_size: 4096,
      intermediate_size: 12_288,
      moe_intermediate_size: 1536,
      num_attention_heads: 64,
      num_experts: 128,
      num_experts_per_tok: 8,
      num_hidden_layers: 94,
      num_key_value_heads: 4,
    },
    235_093_634_560,
    192_512,
  ],
  'Qwen2-57B-A14B': [
    {
      ...qwen,
      model_type: 'qwen2_moe',
      hidden_size: 3584,
      intermediate_size: 18_944,
      moe_intermediate_size: 2560,
      num_attention_heads: 28,
      num_experts: 64,
      num_experts_per_tok: 8,
      num_hidden_layers: 28,
      num_key_value_heads: 4,
      shared_expert_intermediate_size: 20_480,
    },
    57_409_011_712,
    57_344,
  ],
  'Mixtral-8x22B': [
    {
      model_type: 'mixtral',
      hidden_size: 6144,
      intermediate_size: 16_384,
      num_attention_heads: 48,
      num_experts_per_tok: 2,
      num_hidden_layers: 56,
      num_key_value_heads: 8,
      num_local_experts: 8,
      vocab_size: 32_768,
      max_position_embeddings: 65_536,
    },
    140_630_071_296,
    229_376,
  ],
  'DeepSeek-V3': [deepseekV3, 671_026_419_200, 70_272],
  'Kimi-K2': [
    {
      ...deepseekV3,
      model_type: 'kimi_k2',
      n_routed_experts: 384,
      num_attention_heads: 64,
      num_key_value_heads: 64,
      first_k_dense_replace: 1,
      vocab_size: 163_840,
    },
    1_026_408_232_448,
    70_272,
  ],
  'Llama-4-Maverick': [llama4, 400_712_202_240, 196_608],
  'gpt-oss-120b': [
    { ...gptOss, num_hidden_layers: 36, num_local_experts: 128 },
    116_829_156_672,
    73_728,
  ],
  'gemma-2-9b': [gemma2, 9_241_705_984, 344_064],
  'gemma-3-27b': [gemma3, 27_009_346_304, 507_904],
  'phi-4': [
    {
      model_type: 'phi3',
      hidden_size: 5120,
      intermediate_size: 17_920,
      num_attention_heads: 40,
      num_hidden_layers: 40,
      num_key_value_heads: 10,
      vocab_size: 100_352,
      max_position_embeddings: 16_384,
      sliding_window: null,
    },
    14_659_507_200,
    204_800,
  ],
  'Phi-3.5-MoE': [
    {
      model_type: 'phimoe',
      hidden_size: 4096,
      intermediate_size: 6400,
      num_attention_heads: 32,
      num_experts_per_tok: 2,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      num_local_experts: 16,
      vocab_size: 32_064,
      max_position_embeddings: 131_072,
      attention_bias: true,
      lm_head_bias: true,
    },
    41_873_153_344,
    131_072,
  ],
  'GLM-4.5-Air': [
    {
      model_type: 'glm4_moe',
      head_dim: 128,
      hidden_size: 4096,
      intermediate_size: 10_944,
      moe_intermediate_size: 1408,
      n_routed_experts: 128,
      n_shared_experts: 1,
      num_experts_per_tok: 8,
      first_k_dense_replace: 1,
      num_attention_heads: 96,
      num_hidden_layers: 46,
      num_key_value_heads: 8,
      vocab_size: 151_552,
      max_position_embeddings: 131_072,
      attention_bias: true,
      use_qk_norm: false,
    },
    106_852_251_264,
    188_416,
  ],
};

describe('well-known models', () => {
  it.each(Object.entries(zoo))('%s', (name, [config, parameters, kvBytes]) => {
    const model = parseModel(name, config, name);
    const elements = weightBytes(model, one, 0, 'fp8');
    // Left out are biases of norms and of experts' choice, and gates of one row: 0.001 %.
    expect(Math.abs(elements / parameters - 1)).toBeLessThan(1e-5);
    expect(kvBytesPerToken(model, 'bfloat16')).toBe(kvBytes);
  });
});

describe('layers that attend to a part of the context', () => {
  const spans = (config: object) => parseModel('x', config, 'x');

  it.each([
    ['gemma2', gemma2, 4096, false, [0, 2, 4], 21],
    ['gemma3, five in six', gemma3, 1024, false, [0, 1, 2, 3, 4, 6, 7], 52],
    ['llama4, chunks in three of four', llama4, 8192, true, [0, 1, 2, 4, 5, 6], 36],
    [
      'gpt-oss',
      { ...gptOss, num_hidden_layers: 24, num_local_experts: 32 },
      128,
      false,
      [0, 2],
      12,
    ],
  ] as const)('%s', (_, config, span, chunked, first, count) => {
    const model = spans(config);
    expect(model.slidingWindow).toBeUndefined();
    expect(model.localAttention).toMatchObject({ span, chunked });
    expect(model.localAttention?.layers.slice(0, first.length)).toEqual(first);
    const layers = Array.from({ length: model.numLayers }, (_, layer) => layer);
    expect(layers.filter((layer) => attendsLocally(model, layer))).toHaveLength(count);
  });

  it('are groups of one size for the KV cache, as vLLM makes them', () => {
    const groups = (config: object) => kvGroupsOf(spans(config));
    expect(groups(gemma3)).toEqual({ layers: 10, full: 1, windowed: 6 });
    expect(groups(gemma2)).toEqual({ layers: 21, full: 1, windowed: 1 });
    const qwen2 = { ...llama8b, model_type: 'qwen2', sliding_window: 4096 };
    expect(groups({ ...qwen2, max_window_layers: 30 })).toEqual({
      layers: 2,
      full: 15,
      windowed: 1,
    });
    // Almost as many of both: one group each, of the larger size.
    expect(groups({ ...qwen2, max_window_layers: 17 })).toEqual({
      layers: 17,
      full: 1,
      windowed: 1,
    });
    expect(groups(llama4)).toBeUndefined();
    expect(groups(llama8b)).toBeUndefined();
  });

  it('layer_types decide; a window of all layers is one window', () => {
    const qwen2 = { ...llama8b, model_type: 'qwen2', sliding_window: 4096 };
    const types = (type: (layer: number) => string) => ({
      ...qwen2,
      layer_types: Array.from({ length: 32 }, (_, i) => type(i)),
    });
    expect(spans(types(() => 'full_attention')).slidingWindow).toBeUndefined();
    expect(spans(types(() => 'sliding_attention')).slidingWindow).toBe(4096);
    const last = spans(types((i) => (i < 31 ? 'full_attention' : 'sliding_attention')));
    expect(last.localAttention?.layers).toEqual([31]);
    expect(() => spans(types(() => 'linear_attention'))).toThrow('"linear_attention"');
    expect(() => spans({ ...types(() => 'sliding_attention'), sliding_window: null })).toThrow(
      'no sliding_window',
    );
    expect(() => spans({ ...qwen2, layer_types: ['full_attention'] })).toThrow('1 entries');
    // Qwen2: the first layers attend to everything.
    expect(spans({ ...qwen2, max_window_layers: 30 }).localAttention?.layers).toEqual([30, 31]);
    expect(spans({ ...qwen2, use_sliding_window: false }).localAttention).toBeUndefined();
  });

  it('a span that no sequence exceeds is none', () => {
    const short = { ...gemma2, sliding_window: 8192 };
    expect(spans(short).localAttention).toBeUndefined();
  });
});

describe('quantised weights', () => {
  const bytes = (config: object) => weightBytes(parseModel('x', config, 'x'), one, 0, 'bfloat16');
  const quantised = (quantization_config: object) => bytes({ ...llama8b, quantization_config });
  const vocabulary = 2 * 128_256 * 4096;
  const norms = (2 * 32 + 1) * 4096;
  const matrices = 8_030_261_248 - vocabulary - norms;
  const rest = 2 * (vocabulary + norms);

  it.each([
    ['fp8', { quant_method: 'fp8', weight_block_size: [128, 128] }, 8 + 32 / 16_384],
    ['AWQ', { quant_method: 'awq', bits: 4, group_size: 128 }, 4 + 20 / 128],
    ['GPTQ, a scale per channel', { quant_method: 'gptq', bits: 8, group_size: -1 }, 8],
    [
      'compressed-tensors',
      {
        quant_method: 'compressed-tensors',
        config_groups: { group_0: { weights: { num_bits: 4, group_size: 64 } } },
        ignore: ['lm_head'],
      },
      4 + 16 / 64,
    ],
  ])('%s: all matrices but embedding and head', (_, config, bits) => {
    expect(quantised(config)).toBeCloseTo((matrices * bits) / 8 + rest, 0);
  });

  it('gpt-oss-120b is the published 65 GB: experts alone in MXFP4', () => {
    const config = { ...gptOss, num_hidden_layers: 36, num_local_experts: 128 };
    const total = bytes({ ...config, quantization_config: mxfp4 });
    expect(total / 1e9).toBeCloseTo(65.2, 0);
    const experts = 36 * 128 * 3 * 2880 * 2880;
    expect(bytes(config) - total).toBeCloseTo(experts * (2 - 4.25 / 8), 0);
  });

  it('what is on the list of exceptions keeps its type', () => {
    const fp8 = { quant_method: 'fp8' };
    const attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024);
    const kept = quantised({ ...fp8, modules_to_not_convert: ['self_attn'] });
    expect(kept - quantised(fp8)).toBe(attention);
    const byPattern = quantised({ ...fp8, ignored_layers: ['re:.*self_attn.*'] });
    expect(byPattern).toBe(kept);
    // A name is a module's, not part of one.
    expect(quantised({ ...fp8, modules_to_not_convert: ['attn'] })).toBe(quantised(fp8));
  });

  it('says whether products run in that type', () => {
    const compute = (quantization_config: object) =>
      parseModel('x', { ...llama8b, quantization_config }, 'x').quantization?.compute;
    const groups = (input: object | null) => ({
      quant_method: 'compressed-tensors',
      config_groups: { a: { weights: { num_bits: 8 }, input_activations: input } },
    });
    expect(compute({ quant_method: 'fp8' })).toBe('fp8');
    expect(compute({ quant_method: 'awq', bits: 4 })).toBeUndefined();
    expect(compute(groups(null))).toBeUndefined();
    expect(compute(groups({ num_bits: 8, type: 'int' }))).toBe('int8');
    expect(() => compute(groups({ num_bits: 4, type: 'float' }))).toThrow('activations of 4 bits');
  });

  it('refuses what it does not know', () => {
    expect(() => quantised({ quant_method: 'bitsandbytes' })).toThrow(
      'quantization_config: quant_method "bitsandbytes" is not modelled',
    );
    expect(() => quantised({ quant_method: 'awq' })).toThrow('bits is missing');
  });
});

describe('other layers than attention', () => {
  it.each([
    ['qwen3_next', { full_attention_interval: 4, num_attention_heads: 16 }],
    ['jamba', { mamba_d_state: 16 }],
    ['mamba2', { state_size: 128 }],
  ])('%s is refused by name before anything is missed', (model_type, config) => {
    expect(() => parseModel('x', { model_type, ...config }, 'x')).toThrow(
      `x: model_type "${model_type}" is not supported: by its ${Object.keys(config)[0]} it has layers`,
    );
  });
});
