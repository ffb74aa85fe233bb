/** Work of operators, by hand: one token of the tiny model, bf16. */
import { parseModel } from '@astrolabe/config';
import { tinyExperts } from '@astrolabe/config/tiny-model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
import { shapesOf } from './annotate.js';
import { batchShape, operatorWork } from './operator-work.js';

test('weights count the bytes that they have', () => {
  const weights = (operator: string, change: object = {}): number | undefined => {
    const model = parseModel('x', { ...tinyExperts, ...change }, 'x');
    const instance = { ...clusterOf([{}]).instances[0], model };
    return operatorWork(operator, instance, batchShape([1], [10]))?.weightBytes;
  };
  expect(weights('o_proj')).toBe(64 * 64 * 2);
  // One token picks two experts.
  expect(weights('moe')).toBe(2 * 3 * 64 * 128 * 2);
  const awq = { quantization_config: { quant_method: 'awq', bits: 4, group_size: 40 } };
  expect(weights('o_proj', awq)).toBe(64 * 64 * (4.5 / 8));
  expect(weights('moe', awq)).toBe(2 * 3 * 64 * 128 * (4.5 / 8));
  expect(weights('lm_head', awq)).toBe(weights('lm_head'));
});

test('norms behind attention and feed-forward block work as those before them do', () => {
  const model = parseModel('x', { ...tinyExperts, model_type: 'gemma2', head_dim: 16 }, 'x');
  const instance = { ...clusterOf([{}]).instances[0], model };
  // Before attention, behind it, before and behind the feed-forward block, as graphs name them.
  const names = [
    'input_layernorm',
    'post_attention_layernorm',
    'post_layernorm',
    'post_feedforward_layernorm',
  ];
  // Hidden state and residual of three tokens in and out, and the norm's weights: 64 of 2 bytes.
  const bytes = 64 * 2;
  for (const name of names) {
    expect(operatorWork(name, instance, batchShape([3], [0]))).toEqual({
      numOps: 2 * 3 * 64,
      inputBytes: 2 * 3 * bytes,
      weightBytes: bytes,
      outputBytes: 2 * 3 * bytes,
    });
  }
});

test('pairs of layers that attend to a part are those of a count token by token', () => {
  const size = fc.integer({ min: 1, max: 60 });
  fc.assert(
    fc.property(size, fc.nat(60), size, fc.boolean(), (added, context, span, chunked) => {
      let pairs = 0;
      for (let at = context; at < context + added; at++) {
        pairs += chunked ? (at % span) + 1 : Math.min(at + 1, span);
      }
      const shape = batchShape([added], [context], { span, chunked });
      expect(shape.attendedPairs).toBe(pairs);
      const before = chunked ? context % span : Math.min(context, span - 1);
      expect(shape.cachedTokens).toBe(before + added);
    }),
  );
});

test('each layer exports the attention that it does', () => {
  const layers = { sliding_window: 8, layer_types: ['sliding_attention', 'full_attention'] };
  const model = parseModel('x', { ...tinyExperts, ...layers }, 'x');
  const instance = { ...clusterOf([{}]).instances[0], model };
  const step = { newTokens: [1], contextTokens: [99] };
  const pairs = (name: string, of = instance): number => shapesOf(step, of)(name).attendedPairs;
  expect(pairs('layer0.attention')).toBe(8);
  expect(pairs('layer1.attention')).toBe(100);
  const { localAttention: _, ...whole } = model;
  const windowed = { ...instance, model: { ...whole, slidingWindow: 16 } };
  expect(pairs('layer1.attention', windowed)).toBe(16);
});
