/** Bytes of quantised weights, by hand on Llama-3.1-8B and against gpt-oss-120b's published size. */
import { describe, expect, it } from 'vitest';
import { parseModel } from './model.js';
import { weightBytes } from './model-size.js';
import { gptOss, llama8b, mxfp4 } from './model-zoo.test-helper.js';

const one = { tp: 1, pp: 1, ep: 1 };

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

  it('patterns of exceptions begin where names do; one that is none is told', () => {
    const awq = { quant_method: 'awq', bits: 4, group_size: 128 };
    const but = (pattern: string) => quantised({ ...awq, ignore: [pattern] });
    // Neither half is the beginning of a name.
    expect(but('re:lm_head|self_attn')).toBe(quantised(awq));
    expect(but('re:lm_head|model.*self_attn')).toBeGreaterThan(quantised(awq));
    expect(() => but('re:*self_attn')).toThrow(
      'x: quantization_config: "re:*self_attn" is no regular expression',
    );
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
