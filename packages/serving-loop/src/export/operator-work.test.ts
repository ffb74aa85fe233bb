/** Work of operators, by hand: one token of the tiny model, bf16. */
import { parseModel } from '@astrolabe/config';
import { tinyExperts } from '@astrolabe/config/tiny-model';
import { expect, test } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
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
