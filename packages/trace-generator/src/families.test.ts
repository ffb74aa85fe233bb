/** Operator sequences of families that differ from the plain block. */
import { tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { exampleCluster, promptOfEight } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import type { TermSwitches } from './terms.js';

const deepseek = {
  ...tinyModel,
  model_type: 'deepseek_v2',
  n_routed_experts: 8,
  n_shared_experts: 2,
  num_experts_per_tok: 2,
  moe_intermediate_size: 32,
  first_k_dense_replace: 1,
  kv_lora_rank: 16,
  q_lora_rank: 24,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 4,
  v_head_dim: 8,
};

function names(model: object, instance: object = {}): string[] {
  const { generate } = createTraceGenerator({
    cluster: exampleCluster([instance], model),
    latencyModelFor: () => exampleLatency(fusedOperators),
  });
  const { graph } = generate(promptOfEight).programs[0];
  return Array.from({ length: graph.nodeCount }, (_, i) => graph.strings[graph.name[i]]);
}

function layer(all: readonly string[], index: number): string[] {
  const prefix = `layer${index}.`;
  return all.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

const latent = [
  'input_layernorm',
  'qkv_a_proj',
  'latent_norm',
  'q_b_proj',
  'rotary_emb',
  'kv_b_proj',
  'attention',
  'o_proj',
  'post_layernorm',
];

describe('DeepSeek-like', () => {
  it('has latent attention, a leading dense layer and shared experts behind it', () => {
    const all = names(deepseek);
    expect(layer(all, 0)).toEqual([...latent, 'gate_up_proj', 'act_fn', 'down_proj']);
    expect(layer(all, 1)).toEqual([
      ...latent,
      'shared_gate_up_proj',
      'shared_act_fn',
      'shared_down_proj',
      'moe',
    ]);
  });

  it('projects queries at once without compression', () => {
    expect(layer(names({ ...deepseek, q_lora_rank: null }), 0)).toEqual(
      [...latent, 'gate_up_proj', 'act_fn', 'down_proj'].filter((name) => name !== 'q_b_proj'),
    );
  });

  it('keeps shared experts before the exchange and one all-reduce behind the block', () => {
    expect(layer(names(deepseek, { tp_size: 2 }), 1).slice(-5)).toEqual([
      'shared_gate_up_proj',
      'shared_act_fn',
      'shared_down_proj',
      'moe',
      'moe.all_reduce',
    ]);
    expect(layer(names(deepseek, { tp_size: 2 }), 0).at(-1)).toBe('down_proj.all_reduce');
  });
});

describe('shared experts beside the exchange of a data-parallel group', () => {
  const cluster = exampleCluster(
    ['a', 'b'].map((name) => ({ name, dp_group: 'g', ep_size: 2, max_num_seqs: 512 })),
    deepseek,
  );

  /** `node <- parents` of the last layer's MoE block, for one rank of a wave. */
  function block(tokens: number, terms: TermSwitches = {}): string[] {
    const { generate } = createTraceGenerator({
      cluster,
      latencyModelFor: () => exampleLatency(fusedOperators),
      terms,
    });
    const { graph } = generate({
      instance: 0,
      iteration: 0,
      releaseNs: 0,
      requests: [0],
      newTokens: [tokens],
      contextTokens: [0],
      waveTokens: [tokens, tokens],
    }).programs[0];
    const nameOf = (node: number): string =>
      graph.strings[graph.name[node]].replace('layer1.', '').replace('moe.', '');
    return Array.from({ length: graph.nodeCount }, (_, i) => {
      const parents = [...graph.dataDep.slice(graph.dataDepStart[i], graph.dataDepStart[i + 1])];
      return `${nameOf(i)} <- ${parents.map(nameOf).join(' + ')}`;
    }).filter((line) => /^(shared|moe|dispatch|combine)/.test(line));
  }

  const oneStream = [
    'shared_gate_up_proj <- post_layernorm',
    'shared_act_fn <- shared_gate_up_proj',
    'shared_down_proj <- shared_act_fn',
    'dispatch <- shared_down_proj',
    'moe <- dispatch',
    'combine <- moe',
  ];

  it('on a second stream, from before the dispatch to before the combine', () => {
    expect(block(256)).toEqual([
      'dispatch <- post_layernorm',
      'moe <- dispatch',
      'shared_gate_up_proj <- post_layernorm',
      'shared_act_fn <- shared_gate_up_proj',
      'shared_down_proj <- shared_act_fn',
      'combine <- moe + shared_down_proj',
    ]);
  });

  it('before it for more than 256 tokens, or without the term', () => {
    expect(block(257)).toEqual(oneStream);
    expect(block(8, { sharedExpertStream: false })).toEqual(oneStream);
  });
});

describe('Llama-4-like', () => {
  it('alternates dense and MoE layers', () => {
    const model = {
      ...tinyModel,
      model_type: 'llama4_text',
      num_local_experts: 4,
      num_experts_per_tok: 1,
      interleave_moe_layer_step: 2,
      use_qk_norm: true,
    };
    const all = names(model);
    expect(layer(all, 0).at(-1)).toBe('down_proj');
    expect(layer(all, 1).slice(-2)).toEqual(['shared_down_proj', 'moe']);
    expect(layer(all, 1)).toContain('qk_norm');
  });
});
