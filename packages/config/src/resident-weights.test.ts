/** What stays on the device, by hand, on a model of four equal layers. */
import { describe, expect, it } from 'vitest';
import {
  type ExpertSettings,
  parseModel,
  residentWeightBytes,
  resolveCluster,
  weightBytes,
} from './index.js';

const base = {
  hidden_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  intermediate_size: 128,
  vocab_size: 100,
  max_position_embeddings: 512,
};

function instance(extra: object, model: object = { model_type: 'llama' }) {
  return instances([extra], model)[0];
}

function instances(extras: readonly object[], model: object) {
  const npu_mem = { mem_size: 24, mem_bw: 1 };
  const entries = extras.map((extra) => ({ model_name: 'm', hardware: 'x', npu_mem, ...extra }));
  const nodes = [{ cpu_mem: { mem_size: 1, mem_bw: 1 }, instances: entries }];
  return resolveCluster({ link_bw: 1, link_latency: 1, nodes }, 'test', {
    findModel: (name) => parseModel(name, { ...base, ...model }, 'test'),
  }).instances;
}

describe('resident weights', () => {
  it('are all of them by default', () => {
    const one = instance({});
    const all = weightBytes(one.model, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16');
    expect(residentWeightBytes(one, 0)).toBe(all);
  });

  it('are less by what streams, but for two layers of buffers', () => {
    const one = instance({ placement: { layers: { down_proj: { weights: 'cpu' } } } });
    const all = weightBytes(one.model, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16');
    expect(all - residentWeightBytes(one, 0)).toBe(2 * 64 * 128 * 2);
  });

  it('are less by the embedding, of which rows are fetched', () => {
    const one = instance({ placement: { layers: { embedding: { weights: 'cpu' } } } });
    const all = weightBytes(one.model, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16');
    expect(all - residentWeightBytes(one, 0)).toBe(100 * 64 * 2);
  });

  it('of a tied head are there once: off the device where neither use is on it', () => {
    const matrix = 100 * 64 * 2;
    const tied = (layers: object): number =>
      residentWeightBytes(
        instance({ placement: { layers } }, { model_type: 'llama', tie_word_embeddings: true }),
        0,
      );
    const cpu = { weights: 'cpu' };
    const all = tied({});
    expect(tied({ embedding: cpu })).toBe(all);
    expect(tied({ lm_head: cpu })).toBe(all);
    // The head streams through a buffer of its size, or without other layers that do keeps it.
    expect(tied({ embedding: cpu, lm_head: cpu })).toBe(all);
    const large = { embedding: cpu, lm_head: cpu, gate_up_proj: cpu, down_proj: cpu };
    // Buffers are of two layers' feed-forward blocks, which are larger: all else is away.
    const block = 3 * 64 * 128 * 2;
    expect(all - tied(large)).toBe(matrix + 2 * block);
  });

  it('of shared experts stream by their own placement where routed ones are offloaded', () => {
    const shared = {
      model_type: 'qwen2_moe',
      num_experts: 8,
      num_experts_per_tok: 2,
      moe_intermediate_size: 128,
      shared_expert_intermediate_size: 128,
    };
    const experts = { offload: { cached_experts: 8 } };
    const cpu = { weights: 'cpu' };
    const placement = { layers: { shared_gate_up_proj: cpu, shared_down_proj: cpu } };
    const bytes = (extra: object): number =>
      residentWeightBytes(instance({ experts, ...extra }, shared), 0);
    expect(bytes({}) - bytes({ placement })).toBe(2 * 3 * 64 * 128 * 2);
  });

  it('keep cached experts only', () => {
    const experts = { offload: { cached_experts: 3 } };
    const moe = { model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
    const one = instance({ ep_size: 1, experts, weight_prefetch_layers: 0 }, moe);
    const all = weightBytes(one.model, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16');
    // Four layers without five experts of 3 x 64 x 128 each, one layer's buffer.
    expect(all - residentWeightBytes(one, 0)).toBe(3 * 5 * 3 * 64 * 128 * 2);
  });

  it('are slices of experts where more ranks than shares hold them', () => {
    const moe = { model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
    const experts = 4 * 8 * 3 * 64 * 128 * 2;
    const bytes = (ep_size: number): number =>
      residentWeightBytes(instance({ tp_size: 4, ep_size }, moe), 0);
    // Two shares, each cut in two by its ranks: a quarter, as of four shares, and of TP alone.
    expect(bytes(2)).toBe(bytes(4));
    expect(bytes(2)).toBe(bytes(1));
    const ranks = (ep_size: number) =>
      instances(
        ['a', 'b'].map((name) => ({ name, dp_group: 'g', tp_size: 2, ep_size })),
        moe,
      );
    const [two] = ranks(2);
    expect(two.expertSlices).toBe(2);
    expect(residentWeightBytes(two, 0)).toBe(residentWeightBytes(ranks(4)[0], 0));
    // Without shares every instance has all experts, sliced over its own TP.
    expect(residentWeightBytes(ranks(1)[0], 0) - residentWeightBytes(two, 0)).toBe(experts / 4);
    const offload = { offload: { cached_experts: 3 } };
    const away = instance({ tp_size: 4, ep_size: 2, experts: offload }, moe);
    const buffers = 2;
    // One of four experts of a share is away, half of it per rank.
    expect(bytes(2) - residentWeightBytes(away, 0)).toBe(((4 - buffers) * (3 * 64 * 128 * 2)) / 2);
  });

  describe('with expert load balancing', () => {
    const moe = { model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
    const balanced = (experts: ExpertSettings, ep_size = 2) =>
      instance({ tp_size: 2, ep_size, experts }, moe);

    it('take redundant / ranks more experts in every layer', () => {
      const plain = residentWeightBytes(balanced({}), 0);
      const more = residentWeightBytes(balanced({ eplb: { num_redundant_experts: 4 } }), 0);
      expect(more - plain).toBe(4 * 2 * 3 * 64 * 128 * 2);
      expect(residentWeightBytes(balanced({ eplb: {} }), 0)).toBe(plain);
    });

    it('are off the device with the other experts', () => {
      const experts = { eplb: { num_redundant_experts: 4 } };
      const placement = { default: { weights: 'cpu' } };
      const one = instance({ tp_size: 2, ep_size: 2, experts, placement }, moe);
      const two = instance({ tp_size: 2, ep_size: 2, placement }, moe);
      // The buffers of two layers remain.
      const more = residentWeightBytes(one, 0) - residentWeightBytes(two, 0);
      expect(more).toBe(2 * 2 * 3 * 64 * 128 * 2);
    });

    it('need ranks that divide them all', () => {
      const redundant = (num_redundant_experts: number) => ({ eplb: { num_redundant_experts } });
      expect(() => balanced(redundant(3))).toThrow(
        "ep 2 does not divide the model's 8 + 3 redundant",
      );
      expect(balanced(redundant(1), 3).ep).toBe(3);
      expect(() => balanced(redundant(10))).toThrow('expected 8 redundant experts at most');
      const window = { window_size: 1001, step_interval: 1 };
      expect(() => balanced({ eplb: window })).toThrow('1000 step_intervals at most');
      expect(() => balanced(redundant(2), 1)).toThrow('ep_size 2 or more');
      expect(() => balanced({ ...redundant(2), offload: {} })).toThrow('experts.offload');
      expect(() => balanced({ ...redundant(2), routing: 'proportional' })).toThrow('nothing to');
      expect(() => instance({ ep_size: 2, experts: redundant(2) })).toThrow('m has no experts');
    });
  });
});
