/** Two pools of devices, worked by hand: two layers, hidden 64, bf16. */
import { type ExecutionGraph, NodeType } from '@astrolabe/chakra';
import { powerSchema } from '@astrolabe/config';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { collectiveOrder } from './collective-order.test-helper.js';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import type { Iteration } from './iteration.js';

const npuMem = { mem_size: 24, mem_bw: 1000 };
const ffn = { hardware: 'other', npu_mem: npuMem };

const iteration: Iteration = {
  instance: 0,
  iteration: 0,
  releaseNs: 0,
  requests: [0, 1],
  newTokens: [4, 8],
  contextTokens: [0, 0],
};

function generate(instance: object, step: Partial<Iteration> = {}, model: object = tinyModel) {
  const { generate: run } = createTraceGenerator({
    cluster: exampleCluster([instance], model),
    latencyModelFor: () => exampleLatency(fusedOperators),
  });
  return run({ ...iteration, ...step });
}

function nameOf(graph: ExecutionGraph, node: number): string {
  return graph.strings[graph.name[node]];
}

function parents(graph: ExecutionGraph, node: number): string[] {
  const deps = graph.dataDep.slice(graph.dataDepStart[node], graph.dataDepStart[node + 1]);
  return [...deps].map((id) => nameOf(graph, id));
}

/** Nodes of one part and layer: name, number, parents. */
function rows(graph: ExecutionGraph, prefix: string): string[] {
  const found: string[] = [];
  for (let i = 0; i < graph.nodeCount; i++) {
    if (!nameOf(graph, i).startsWith(prefix)) continue;
    const comm = graph.type[i] !== NodeType.comp;
    const amount = comm ? `${graph.commSizeBytes[i]} B` : `${graph.durationNs[i]} ns`;
    found.push(`${nameOf(graph, i).slice(prefix.length)} ${amount}`);
  }
  return found;
}

describe('attention and feed-forward devices', () => {
  it('work on parts of the batch in turn', () => {
    const [attention, forward] = generate({ ffn }).programs;
    expect([attention.npus, forward.npus]).toEqual([[0], [1]]);
    // Part 0 has the request of 4 tokens, part 1 that of 8; hidden states are 128 B a token.
    expect(rows(attention.graph, 'layer0.part0.')).toEqual([
      'input_layernorm 40 ns',
      'qkv_proj 40 ns',
      'rotary_emb 40 ns',
      'attention 4 ns',
      'o_proj 40 ns',
      'post_layernorm 40 ns',
      'to_ffn 512 B',
      'from_ffn 512 B',
    ]);
    expect(rows(forward.graph, 'layer1.part1.')).toEqual([
      'from_attention 1024 B',
      'gate_up_proj 80 ns',
      'act_fn 80 ns',
      'down_proj 80 ns',
      'to_attention 1024 B',
    ]);
    expect(rows(attention.graph, 'embedding')).toEqual([' 160 ns']);
  });

  it('keep the parts independent until the head', () => {
    const [attention, forward] = generate({ ffn }).programs;
    const find = (graph: ExecutionGraph, name: string): number =>
      Array.from({ length: graph.nodeCount }, (_, i) => nameOf(graph, i)).indexOf(name);
    const { graph } = attention;
    expect(parents(graph, find(graph, 'layer0.part1.input_layernorm'))).toEqual(['embedding']);
    expect(parents(graph, find(graph, 'final_layernorm'))).toEqual([
      'layer1.part0.from_ffn',
      'layer1.part1.from_ffn',
    ]);
    expect(parents(forward.graph, find(forward.graph, 'layer0.part1.from_attention'))).toEqual([]);
  });

  it('slice activations over the larger pool and gather them', () => {
    const set = generate({ tp_size: 2, ffn: { ...ffn, tp_size: 4 } });
    expect(set.groups).toEqual({ 1: [0, 1], 2: [2, 3, 4, 5] });
    const [attention, , forward] = set.programs;
    // Four slices of 4 x 128 / 4 B; each attention rank sends two and gathers halves.
    expect(rows(attention.graph, 'layer0.part0.to_ffn')).toEqual([' 128 B', ' 128 B']);
    expect(rows(attention.graph, 'layer0.part0.from_ffn')).toEqual([
      ' 128 B',
      ' 128 B',
      '.all_gather 256 B',
    ]);
    expect(rows(forward.graph, 'layer0.part0.from_attention')).toEqual([
      ' 128 B',
      '.all_gather 128 B',
    ]);
    expect(rows(forward.graph, 'layer0.part0.down_proj')).toEqual([' 10 ns', '.all_reduce 512 B']);
  });

  it('do not split a single request', () => {
    const one = { requests: [0], newTokens: [4], contextTokens: [0] };
    const { graph } = generate({ ffn }, one).programs[1];
    expect(rows(graph, 'layer0.part1.')).toEqual([]);
  });

  it('divide experts over the feed-forward devices', () => {
    const set = generate({ ep_size: 2, ffn: { ...ffn, tp_size: 2 } }, {}, tinyExperts);
    // 4 tokens on 8 experts, top 2: 8 (1 - 0.75^4) / 2 = 2.734 experts, 4 pairs: 2 tokens.
    expect(rows(set.programs[1].graph, 'layer0.part0.moe')).toEqual([
      ' 2748 ns',
      '.all_reduce 512 B',
    ]);
  });

  it('run the collectives of all parts in one order on every rank', () => {
    const { programs } = generate({ tp_size: 2, ffn: { ...ffn, tp_size: 4 } });
    const orders = programs.map(({ graph }) => collectiveOrder(graph));
    const [attention, , forward] = orders;
    expect(orders).toEqual([attention, attention, forward, forward, forward, forward]);
    expect(forward.slice(0, 4)).toEqual([
      'layer0.part0.from_attention.all_gather',
      'layer0.part0.down_proj.all_reduce',
      'layer0.part1.from_attention.all_gather',
      'layer0.part1.down_proj.all_reduce',
    ]);
  });

  it('divide experts over the feed-forward devices unless told otherwise', () => {
    const model = { ...tinyExperts, num_local_experts: 8 };
    const [instance] = exampleCluster(
      [{ tp_size: 4, ffn: { ...ffn, tp_size: 2 } }],
      model,
    ).instances;
    expect(instance.ep).toBe(2);
  });

  it('refuse what has no meaning with two pools', () => {
    expect(() => generate({ pp_size: 2, ffn })).toThrow('ffn: cannot be combined with pipeline');
    const full = { ...npuMem, mem_size: 1e-5 };
    expect(() => generate({ ffn: { ...ffn, npu_mem: full } })).toThrow('does not fit');
  });
});

describe('stages of different devices', () => {
  it('take their own times', () => {
    const { generate: run } = createTraceGenerator({
      cluster: exampleCluster([{ pp_size: 2, stage_hardware: ['slow', 'fast'] }]),
      latencyModelFor: ({ hardware }) => {
        const model = exampleLatency(fusedOperators);
        const factor = hardware === 'slow' ? 3 : 1;
        return { ...model, denseNs: (...args) => factor * model.denseNs(...args) };
      },
    });
    const [first, second] = run(iteration).programs;
    expect(rows(first.graph, 'layer0.qkv_proj')).toEqual([' 480 ns']);
    expect(rows(second.graph, 'layer1.qkv_proj')).toEqual([' 160 ns']);
  });

  it('have the memory of their own, at whose bandwidth a cap lets bytes pass', () => {
    const power = { idle_power: 10, standby_power: 10, standby_duration: 0 };
    const capped = { npu: { example: { ...power, active_power: 810, power_cap: 110 } } };
    const memory = (mem_bw: number) => ({ mem_size: 24, mem_bw });
    const cluster = exampleCluster([{ pp_size: 2, stage_npu_mem: [memory(1000), memory(10)] }]);
    const { generate: run } = createTraceGenerator({
      cluster: { ...cluster, nodes: [{ ...cluster.nodes[0], power: powerSchema.parse(capped) }] },
      latencyModelFor: () => exampleLatency(fusedOperators),
    });
    const [first, second] = run(iteration).programs;
    // 16 tokens: 160 ns at full clock. Weights of 24.6 kB and rows take 31 ns at 1000 GB/s, all at 10.
    expect(rows(second.graph, 'layer1.qkv_proj')).toEqual([' 160 ns']);
    const [slow] = rows(first.graph, 'layer0.qkv_proj');
    expect(Number.parseInt(slow, 10)).toBeGreaterThan(250);
  });

  it('are as many as stages', () => {
    const memory = { mem_size: 24, mem_bw: 1000 };
    expect(() => exampleCluster([{ pp_size: 2, stage_npu_mem: [memory] }])).toThrow(
      'stage_npu_mem: has 1 entries, but there are 2 stages',
    );
    expect(() => exampleCluster([{ pp_size: 2, stage_hardware: ['a'] }])).toThrow(
      'stage_hardware: names 1 devices, but there are 2 stages',
    );
  });
});
