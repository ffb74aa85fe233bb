/** Rules and their precedence; elements of Llama-3.1-8B's operators. */
import { describe, expect, it } from 'vitest';
import { parseModel } from './model.js';
import { blockBytes } from './model-size.js';
import { operatorWeightBytes, weightPlacement } from './weight-placement.js';

describe('placement', () => {
  it('prefers the operator, then the block, then the default', () => {
    const placement = weightPlacement({
      default: { weights: 'cpu' },
      blocks: [{ blocks: '0-1, 3', weights: 'cxl:2' }],
      layers: { lm_head: { weights: 'npu' } },
    });
    expect(placement.of(0, 'qkv_proj')).toEqual({ tier: 'cxl', device: 2 });
    expect(placement.of(2, 'qkv_proj')).toEqual({ tier: 'cpu', device: 0 });
    expect(placement.of(3, 'lm_head').tier).toBe('npu');
    expect(placement.offDevice).toBe(true);
    expect(weightPlacement(undefined).offDevice).toBe(false);
  });

  it('refuses what it cannot read', () => {
    expect(() => weightPlacement({ default: { weights: 'disk' } })).toThrow(
      'placement.default: weights "disk"',
    );
    expect(() => weightPlacement({ blocks: [{ blocks: '0..3', weights: 'cpu' }] })).toThrow(
      '0-3,7',
    );
  });
});

describe('elements', () => {
  it('sum to a block of 218 112 000', () => {
    const model = parseModel(
      'Llama-3.1-8B',
      {
        model_type: 'llama',
        hidden_size: 4096,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        intermediate_size: 14336,
        vocab_size: 128256,
        max_position_embeddings: 131072,
      },
      'test',
    );
    const operators = ['layernorm', 'qkv_proj', 'o_proj', 'layernorm', 'gate_up_proj', 'down_proj'];
    const elements = operators.map((operator) =>
      operatorWeightBytes(model, { tp: 1, expertRanks: 1 }, operator, 'fp8'),
    );
    expect(elements.reduce((sum, count) => sum + count, 0)).toBe(218_112_000);
    expect(blockBytes(model, { tp: 1, pp: 1, ep: 1 }, 'fp8')).toBe(218_112_000);
    const two = { tp: 2, expertRanks: 1 };
    expect(operatorWeightBytes(model, two, 'qkv_proj', 'bfloat16')).toBe(2 * 12_582_912);
    expect(operatorWeightBytes(model, two, 'act_fn', 'bfloat16')).toBe(0);
  });
});
