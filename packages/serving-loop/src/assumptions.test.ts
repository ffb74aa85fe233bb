/** What is assumed is said, once, and only where it is. */
import { type Instance, parseModel } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { assumptions, hasUnknownError } from './assumptions.js';
import { clusterOf, exampleModel } from './machine.test-helper.js';

const moe = parseModel(
  'moe',
  {
    ...exampleModel,
    model_type: 'qwen3_moe',
    num_experts: 8,
    num_experts_per_tok: 2,
    moe_intermediate_size: 64,
  },
  'moe',
);
const instancesOf = (...entries: object[]): readonly Instance[] => clusterOf(entries).instances;
const withExperts = (routing?: string): Instance => {
  const experts = routing === undefined ? {} : { experts: { routing } };
  return { ...instancesOf({})[0], model: moe, ...experts } as Instance;
};

describe('assumptions', () => {
  it('are none without drafts and experts', () => {
    expect(assumptions(instancesOf({}, {}), [])).toEqual([]);
  });

  it('of drafts: their chance and time, once', () => {
    const entry = { speculative_tokens: 3, speculative_acceptance: 0.8, speculative_draft_ns: 9e5 };
    const found = assumptions(instancesOf(entry, { name: 'b', ...entry }), []);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('accepted with chance 0.8 and takes 0.9 ms a token');
    expect(assumptions(instancesOf({ speculative_tokens: 3 }), [])[0]).toContain('takes no time');
  });

  it('of a KV cache: its type, where it is no other name for as many bytes', () => {
    const [fp8, same] = instancesOf({ kv_cache_dtype: 'fp8' }, { kv_cache_dtype: 'float16' });
    expect(assumptions([fp8, fp8, same], [])).toEqual([
      'operators were measured with a KV cache of bfloat16: what fp8 changes was not',
    ]);
    expect([fp8, same].map((one) => hasUnknownError(one, []))).toEqual([true, false]);
    const use = { hardware: fp8.hardware, model: 'm', measurement: 'kernel', source: 's' } as const;
    expect(hasUnknownError(fp8, [{ ...use, dtype: 'bf16' }])).toBe(true);
    expect(hasUnknownError(fp8, [{ ...use, dtype: 'bf16-kvfp8' }])).toBe(false);
    expect(assumptions([fp8], [{ ...use, dtype: 'bf16-kvfp8' }])).toEqual([]);
    const stages = { pp_size: 2, stage_hardware: [fp8.hardware, 'Y'], kv_cache_dtype: 'fp8' };
    const [mixed] = instancesOf(stages);
    const known = { ...use, dtype: 'bf16-kvfp8' };
    expect(hasUnknownError(mixed, [known, { ...use, hardware: 'Y', dtype: 'bf16' }])).toBe(true);
    expect(hasUnknownError(mixed, [known, { ...known, hardware: 'Y' }])).toBe(false);
  });

  it('of layers with a window: their KV is kept', () => {
    const local = (change: object, pp = 2): Instance[] => {
      const model = parseModel('local', { ...exampleModel, ...change }, 'local');
      return [{ ...instancesOf({})[0], model, pp }];
    };
    const layers = exampleModel.num_hidden_layers;
    const types = Array.from({ length: layers }, (_, i) => (i === 0 ? 'sliding' : 'full'));
    const layer_types = types.map((type) => `${type}_attention`);
    const windows = local({ sliding_window: 128, layer_types });
    expect(assumptions(windows, [])).toEqual([
      `KV of all ${layers} layers is kept, though 1 attend to 128 tokens alone: ` +
        'in a pipeline vLLM fits more requests',
    ]);
    expect(assumptions(local({ sliding_window: 128, layer_types }, 1), [])).toEqual([]);
    expect(assumptions(local({ sliding_window: 128 }), [])).toEqual([]);
  });

  it('of quantised weights, where times are of a data sheet', () => {
    const quantization_config = { quant_method: 'awq', bits: 4 };
    const model = parseModel('awq', { ...exampleModel, quantization_config }, 'awq');
    const instance = { ...instancesOf({})[0], model };
    const { hardware } = instance;
    const use = { hardware, model: 'awq', dtype: 'bf16', source: 's' } as const;
    const said = (measurement: 'roofline' | 'kernel') =>
      assumptions([instance], [{ ...use, measurement }]);
    expect(said('roofline')).toEqual([
      'awq weights take the time of their bytes, converting them none',
    ]);
    expect(said('kernel')).toEqual([]);
  });

  it("of experts: the gate, unless it was recorded or is the user's", () => {
    expect(assumptions([withExperts(), withExperts('zipf')], [])).toEqual([
      'experts are chosen by a uniform gate, not as recorded from the model',
      'experts are chosen by a zipf gate, not as recorded from the model',
    ]);
    expect(assumptions([withExperts('file'), withExperts('module')], [])).toEqual([]);
  });
});
