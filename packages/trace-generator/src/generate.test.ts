/** One iteration's graph, worked by hand on a model of two layers. */
import { Attr, CollectiveType, type ExecutionGraph, NodeType } from '@astrolabe/chakra';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { LatencyModel } from '@astrolabe/profile';
import { describe, expect, it } from 'vitest';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators, unfusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator, type TraceGeneratorOptions } from './generate.js';
import type { Iteration } from './iteration.js';
import type { TermSwitches } from './terms.js';

function cluster(instance: object = {}, model: object = {}) {
  return exampleCluster([instance], { ...tinyModel, ...model });
}

function generator(options: Partial<TraceGeneratorOptions> = {}) {
  return createTraceGenerator({
    cluster: cluster(),
    latencyModelFor: () => exampleLatency(fusedOperators),
    ...options,
  });
}

const iteration: Iteration = {
  instance: 0,
  iteration: 3,
  releaseNs: 5000,
  requests: [0, 1, 2],
  newTokens: [5, 1, 1],
  contextTokens: [0, 20, 30],
};

/** Name, type letter and number of every node, checked to be a chain. */
function rows(graph: ExecutionGraph): string[] {
  return Array.from({ length: graph.nodeCount }, (_, i) => {
    const from = graph.dataDepStart[i];
    const deps = [...graph.dataDep.slice(from, graph.dataDepStart[i + 1])];
    expect(deps).toEqual(i === 0 ? [] : [i - 1]);
    const comm = (graph.present[i] & Attr.commSize) !== 0;
    const amount = comm ? `${graph.commSizeBytes[i]} B` : `${graph.durationNs[i]} ns`;
    return `${graph.strings[graph.name[i]]} ${amount}`;
  });
}

describe('one NPU', () => {
  it('is a chain of 4 + 9 L compute nodes, padded to a captured size but for attention', () => {
    const set = generator().generate(iteration);
    expect(set).toMatchObject({ instance: 0, iteration: 3, releaseNs: 5000, lane: 0, groups: {} });
    expect(set.programs).toHaveLength(1);
    // 7 tokens run as 8; attention: 5 new + 20 + 30 context; 3 rows in the head.
    expect(rows(set.programs[0].graph).slice(0, 11)).toEqual([
      'embedding 80 ns',
      'layer0.input_layernorm 80 ns',
      'layer0.qkv_proj 80 ns',
      'layer0.rotary_emb 80 ns',
      'layer0.attention 55 ns',
      'layer0.o_proj 80 ns',
      'layer0.post_layernorm 80 ns',
      'layer0.gate_up_proj 80 ns',
      'layer0.act_fn 80 ns',
      'layer0.down_proj 80 ns',
      'layer1.input_layernorm 80 ns',
    ]);
    expect(rows(set.programs[0].graph).slice(-3)).toEqual([
      'final_layernorm 80 ns',
      'lm_head 300 ns',
      'sampler 300 ns',
    ]);
    expect(set.programs[0].graph.nodeCount).toBe(4 + 9 * 2);
  });

  it('gives each iteration its own numbers', () => {
    const { generate } = generator();
    const first = generate(iteration).programs[0].graph;
    const second = generate({ ...iteration, newTokens: [9, 1, 1] }).programs[0].graph;
    expect([first.durationNs[0], second.durationNs[0]]).toEqual([80, 160]);
  });

  it('switches padding off by name', () => {
    const set = generator({ terms: { batchPadding: false } }).generate(iteration);
    expect(rows(set.programs[0].graph)[0]).toBe('embedding 70 ns');
  });

  it('pads tokens and rows to buckets on a TPU, attention not', () => {
    const tpu = (engine: object) =>
      rows(
        generator({ cluster: exampleCluster([{ hardware: 'TPU-v6e-1', ...engine }]) }).generate(
          iteration,
        ).programs[0].graph,
      );
    const padded = tpu({});
    const plain = tpu({ batch_padding: 'none' });
    expect([padded[0], padded.at(-2)]).toEqual(['embedding 160 ns', 'lm_head 800 ns']);
    expect([plain[0], plain.at(-2)]).toEqual(['embedding 70 ns', 'lm_head 300 ns']);
    const attention = (lines: string[]) => lines.find((line) => line.includes('attention'));
    expect(attention(padded)).toBe(attention(plain));
  });

  it('starts with host terms', () => {
    const set = generator({
      calibration: {
        devices: {
          example: {
            source: 'test',
            step_overhead_ns: 900,
            step_overhead_per_sequence_ns: 100,
            front_end_delay_ns: 0,
            warm_up_ns: 0,
          },
        },
      },
    }).generate({ ...iteration, warmUpNs: 70 });
    expect(rows(set.programs[0].graph).slice(0, 3)).toEqual([
      'warm_up 70 ns',
      'step_overhead 1200 ns',
      'embedding 80 ns',
    ]);
  });

  it('lets decodes wait for the longest as the term says, else the calibration, else always', () => {
    // 1 ns per decode's context, or as if all were the longest where contexts are told apart.
    const waiting: LatencyModel = {
      ...exampleLatency(fusedOperators),
      attentionNs: (_, { decodeContextSum, decodeCount, decodeContexts }) =>
        decodeContexts === undefined
          ? decodeContextSum
          : decodeCount * Math.max(decodeContexts[0], decodeContexts[1]),
    };
    const device = { source: 'test', step_overhead_ns: 0, front_end_delay_ns: 0, warm_up_ns: 0 };
    const attentionNs = (known?: object, terms?: TermSwitches): number => {
      const devices = known === undefined ? {} : { example: { ...device, ...known } };
      const options = { latencyModelFor: () => waiting, calibration: { devices } };
      const [program] = generator({ ...options, ...(terms && { terms }) }).generate(
        iteration,
      ).programs;
      return program.graph.durationNs[4];
    };
    const [level, longest] = [20 + 30, 2 * 30];
    expect(attentionNs()).toBe(longest);
    expect(attentionNs({})).toBe(level);
    expect(attentionNs({ decode_tail: true })).toBe(longest);
    expect(attentionNs({ decode_tail: true }, { decodeTail: false })).toBe(level);
    expect(attentionNs({}, { decodeTail: true })).toBe(longest);
    expect(attentionNs(undefined, { decodeTail: false })).toBe(level);
  });

  it('uses the names of an unfused profile, and has qk_norm where the model has it', () => {
    const unfused = generator({ latencyModelFor: () => exampleLatency(unfusedOperators) });
    const names = rows(unfused.generate(iteration).programs[0].graph).map((row) =>
      row.replace(/ .*/, ''),
    );
    expect(names.slice(1, 14)).toEqual(
      [
        'input_layernorm',
        'q_proj',
        'k_proj',
        'v_proj',
        'rope',
        'attn',
        'o_proj',
        'post_layernorm',
        'gate_proj',
        'up_proj',
        'act_fn',
        'down_proj',
      ]
        .map((name) => `layer0.${name}`)
        .concat('layer1.input_layernorm'),
    );
    const qwen = generator({ cluster: cluster({}, { model_type: 'qwen3' }) });
    expect(rows(qwen.generate(iteration).programs[0].graph)[3]).toBe('layer0.qk_norm 80 ns');
  });
});

describe('tensor parallelism', () => {
  it('adds two all-reduces a layer, one behind the embedding and a logits gather', () => {
    const set = generator({ cluster: cluster({ tp_size: 2 }) }).generate(iteration);
    expect(set.programs.map(({ npus }) => npus)).toEqual([[0, 1]]);
    expect(set.groups).toEqual({ 1: [0, 1] });
    const { graph } = set.programs[0];
    const comm = rows(graph).filter((row) => row.endsWith(' B'));
    // 8 tokens x 64 x 2 B; 3 rows x 100 / 2 x 2 B from each rank.
    expect(comm).toEqual([
      'embedding.all_reduce 1024 B',
      'layer0.o_proj.all_reduce 1024 B',
      'layer0.down_proj.all_reduce 1024 B',
      'layer1.o_proj.all_reduce 1024 B',
      'layer1.down_proj.all_reduce 1024 B',
      'lm_head.all_gather 300 B',
    ]);
    const gather = [...graph.type].lastIndexOf(NodeType.commColl);
    expect(graph.commType[gather]).toBe(CollectiveType.allGather);
    expect(graph.strings[graph.pgName[gather]]).toBe('1');
  });
});

describe('pipeline parallelism', () => {
  it('hands hidden state and residual from stage to stage', () => {
    const set = generator({ cluster: cluster({ pp_size: 2 }) }).generate(iteration);
    const [first, second] = set.programs.map(({ graph }) => graph);
    // 8 tokens x 64 x 2 B, twice.
    expect(rows(first).at(-1)).toBe('stage0.send 2048 B');
    expect(rows(second)[0]).toBe('stage1.receive 2048 B');
    expect(rows(second)[1]).toBe('layer1.input_layernorm 80 ns');
    const send = first.nodeCount - 1;
    expect([first.commSrc[send], first.commDst[send]]).toEqual([0, 1]);
    expect([second.commSrc[0], second.commDst[0]]).toEqual([0, 1]);
    expect(first.commTag[send]).toBe(second.commTag[0]);
  });

  it('slices the hand-over by TP and gathers it at the receiver', () => {
    const set = generator({ cluster: cluster({ tp_size: 2, pp_size: 2 }) }).generate(iteration);
    expect(set.programs.map(({ npus }) => npus)).toEqual([[0], [1], [2], [3]]);
    expect(set.groups).toEqual({ 1: [0, 1], 2: [2, 3] });
    const { graph } = set.programs[3];
    expect(rows(graph).slice(0, 2)).toEqual([
      'stage1.receive 1024 B',
      'stage1.receive.all_gather 1024 B',
    ]);
    expect([graph.commSrc[0], graph.commDst[0]]).toEqual([1, 3]);
  });
});

describe('errors', () => {
  it('names a missing operator or TP degree when the generator is made', () => {
    const without = fusedOperators.filter((name) => name !== 'o_proj');
    expect(() => generator({ latencyModelFor: () => exampleLatency(without) })).toThrow(
      'example: nodes[0].instances[0] (example, tiny): the profile has no operator "o_proj" at TP 1',
    );
    expect(() => generator({ latencyModelFor: () => exampleLatency(fusedOperators, [2]) })).toThrow(
      'the profile has no measurements at TP 1',
    );
  });

  it('refuses an iteration that does not fit', () => {
    const { generate } = generator();
    expect(() => generate({ ...iteration, instance: 1 })).toThrow('instance 1 is unknown');
    expect(() => generate({ ...iteration, newTokens: [1] })).toThrow('3, 1 and 3 entries');
    const empty = { ...iteration, requests: [], newTokens: [], contextTokens: [] };
    expect(() => generate(empty)).toThrow('no requests');
    const moves: Iteration['moves'] = [
      { npu: 0, tier: 'host', device: 0, direction: 'load', bytes: 1 },
    ];
    expect(() => generate({ ...empty, instance: 1, moves })).toThrow('instance 1 is unknown');
    expect(() => generate({ ...iteration, moves })).toThrow('moves beside 3 requests');
    expect(() => generate({ ...iteration, lane: 2 })).toThrow('lane 2 without moves');
  });
});
