/**
 * Parameters of well-known models against the totals that Hugging Face shows for their decoders (text
 * alone, without draft layers), and which of their layers attend to what.
 */
import { describe, expect, it } from 'vitest';
import { kvGroupsOf } from './kv-groups.js';
import { attendsLocally, kvBytesPerToken, parseModel } from './model.js';
import { weightBytes } from './model-size.js';
import { gemma2, gemma3, gptOss, llama4, llama8b, zoo } from './model-zoo.test-helper.js';

const one = { tp: 1, pp: 1, ep: 1 };

describe('well-known models', () => {
  it.each(Object.entries(zoo))('%s', (name, [config, parameters, kvBytes]) => {
    const model = parseModel(name, config, name);
    const elements = weightBytes(model, one, 0, 'fp8');
    // Left out are biases of norms and of experts' choice, and gates of one row: 0.001 %.
    expect(Math.abs(elements / parameters - 1)).toBeLessThan(1e-5);
    expect(kvBytesPerToken(model, 'bfloat16')).toBe(kvBytes);
  });
});

const windows = { use_sliding_window: true, sliding_window: 4096 };
const qwen2 = { ...llama8b, ...windows, model_type: 'qwen2' };

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
    // As its configuration class has it where a file does not say: from layer 28 on, and off.
    expect(spans(qwen2).localAttention?.layers).toEqual([28, 29, 30, 31]);
    expect(spans({ ...qwen2, model_type: 'qwen3' }).localAttention?.layers).toHaveLength(4);
    const { use_sliding_window: _, ...silent } = qwen2;
    for (const model_type of ['qwen2', 'qwen3']) {
      const found = spans({ ...silent, model_type });
      expect([found.slidingWindow, found.localAttention]).toEqual([undefined, undefined]);
    }
  });

  it('a span that no sequence exceeds is none', () => {
    const short = { ...gemma2, sliding_window: 8192 };
    expect(spans(short).localAttention).toBeUndefined();
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
