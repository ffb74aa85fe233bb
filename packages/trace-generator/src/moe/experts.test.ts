/** Graphs of MoE blocks worked by hand: 8 experts, top 2, hidden 64, bf16. */
import { Attr, type ExecutionGraph, type GraphSet } from '@astrolabe/chakra';
import type { ExpertSettings } from '@astrolabe/config';
import { tinyExperts } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { exampleCluster, promptOfEight } from '../example-cluster.test-helper.js';
import {
  exampleLatency,
  fusedOperators,
  unfusedOperators,
} from '../example-latency.test-helper.js';
import { createTraceGenerator } from '../generate.js';
import type { Iteration } from '../iteration.js';

function generate(
  instances: readonly object[],
  settings: ExpertSettings = {},
  step: Partial<Iteration> = {},
  operators: readonly string[] = fusedOperators,
): GraphSet {
  const generator = createTraceGenerator({
    cluster: exampleCluster(instances, tinyExperts),
    latencyModelFor: () => exampleLatency(operators),
    experts: settings,
  });
  return generator.generate({ ...promptOfEight, ...step });
}

/** The nodes of layer 0 behind its second norm. */
function block(graph: ExecutionGraph): string[] {
  const rows: string[] = [];
  for (let i = 0; i < graph.nodeCount; i++) {
    const name = graph.strings[graph.name[i]];
    if (!/^layer0\.(moe|gate|expert)/.test(name)) continue;
    const comm = (graph.present[i] & Attr.commSize) !== 0;
    rows.push(`${name} ${comm ? `${graph.commSizeBytes[i]} B` : `${graph.durationNs[i]} ns`}`);
  }
  return rows;
}

// 8 (1 - (3/4)^8) = 7.199 of 8 experts are expected to be active for 8 tokens.
describe('one data-parallel rank', () => {
  it('runs all experts on one NPU', () => {
    // 7 ns x 8 tokens + 1000 ns x 7.199.
    expect(block(generate([{}]).programs[0].graph)).toEqual(['layer0.moe 7255 ns']);
  });

  it('halves experts over EP ranks and slices them without EP: the same bytes, one all-reduce', () => {
    const whole = generate([{ tp_size: 2, ep_size: 2 }]);
    const sliced = generate([{ tp_size: 2, ep_size: 1 }]);
    // 7 x 4 + 1000 x 3.5995; 8 tokens x 128 B.
    const expected = ['layer0.moe 3628 ns', 'layer0.moe.all_reduce 1024 B'];
    expect(block(whole.programs[0].graph)).toEqual(expected);
    expect(block(sliced.programs[0].graph)).toEqual(expected);
    expect(whole.programs).toHaveLength(1);
  });

  it('uses projections of single experts when the profile has those', () => {
    const operators = [...unfusedOperators, 'gate', 'expert.w1', 'expert.w2', 'expert.w3'];
    // 16 pairs on 7.199 experts: 2.2 -> 2 tokens each, 20 ns.
    expect(block(generate([{}], {}, {}, operators).programs[0].graph)).toEqual([
      'layer0.gate 80 ns',
      'layer0.expert.w1 144 ns',
      'layer0.expert.w3 144 ns',
      'layer0.expert.w2 144 ns',
    ]);
  });
});

describe('data-parallel ranks that share experts', () => {
  const pair = { ep_size: 2, dp_group: 'A' };

  it('gather all tokens with their router logits and scatter the results', () => {
    const set = generate([pair, pair], {}, { paddedTokens: 8 });
    expect(set.groups).toEqual({ 1: [0, 1] });
    // 16 tokens in all: 8 (1 - (3/4)^16) / 2 = 3.960 experts and 16 x 2 / 2 = 16 pairs a rank.
    expect(block(set.programs[0].graph)).toEqual([
      `layer0.moe.dispatch ${8 * (64 + 8) * 2} B`,
      'layer0.moe 4016 ns',
      `layer0.moe.combine ${16 * 64 * 2} B`,
    ]);
  });

  it('split tokens over TP first and gather them afterwards', () => {
    const quad = { tp_size: 2, ep_size: 4, dp_group: 'A' };
    const rows = block(generate([quad, quad], {}, { paddedTokens: 8 }).programs[0].graph);
    expect(rows[0]).toBe(`layer0.moe.dispatch ${4 * (64 + 8) * 2} B`);
    expect(rows[2]).toBe(`layer0.moe.combine ${16 * 64 * 2} B`);
    expect(rows[3]).toBe(`layer0.moe.all_gather ${4 * 64 * 2} B`);
  });

  it('send routed tokens only with all_to_all', () => {
    const set = generate([pair, pair], { dispatch: 'all_to_all' }, { paddedTokens: 8 });
    // A token's two experts lie on one of two ranks of 4 with 3/7: 2 (1 - (4/8)(3/7)) = 11/7 copies.
    const bytes = Math.round(8 * (11 / 7) * 128);
    const rows = block(set.programs[0].graph);
    expect([rows[0], rows[2]]).toEqual([
      `layer0.moe.dispatch ${bytes} B`,
      `layer0.moe.combine ${bytes} B`,
    ]);
  });

  it('pad to the largest rank while graphs fit, else run their own tokens', () => {
    const wave = { waveTokens: [8, 100] };
    const first = generate([pair, pair], {}, wave).programs[0].graph;
    // 100 pads to 104 on both ranks.
    expect(first.durationNs[0]).toBe(1040);
    const eager = { waveTokens: [8, 600] };
    const second = generate([pair, pair], {}, eager).programs[0].graph;
    expect(second.durationNs[0]).toBe(80);
    expect(block(second)[2]).toBe(`layer0.moe.combine ${608 * 64 * 2} B`);
    expect(() => generate([pair, pair], {}, { waveTokens: [8] })).toThrow('1 entries for 2 ranks');
  });

  it('give the idle rank a dummy token that steps along', () => {
    const idle = { instance: 1, requests: [], newTokens: [], contextTokens: [], paddedTokens: 8 };
    const set = generate([pair, pair], {}, idle);
    expect(set.programs[0].npus).toEqual([1]);
    expect(block(set.programs[0].graph)[1]).toBe('layer0.moe 4016 ns');
  });

  it('refuse degrees that do not divide and unlike members', () => {
    const four = { ep_size: 4, dp_group: 'A' };
    expect(() => generate([four, four])).toThrow(
      'example: nodes[0].instances[0].ep_size: ep 4 does not divide the 2 ranks',
    );
    expect(() => generate([pair, { ...pair, tp_size: 2 }])).toThrow(
      /^example: nodes\[0\]\.instances\[1\]: .* must agree in model, TP/,
    );
  });
});

describe('load balancing', () => {
  const eplb = { num_redundant_experts: 2, step_interval: 8 };
  // Linear: 0 1 2 3 4 | 5 6 7 0 1. By load 0 and 1 are halved, then 0 4 0 6 2 | 1 5 1 7 3.
  const settings: ExpertSettings = {
    routing: 'file',
    loads: [[8, 8, 1, 1, 4, 4, 2, 2]],
    eplb,
  };
  const pair = { ep_size: 2, dp_group: 'A', experts: settings };
  const rearranging = (step: number): string[] => {
    const { graph } = generate([pair, pair], settings, { wave: step, waveTokens: [8, 8] })
      .programs[0];
    return Array.from({ length: graph.nodeCount }, (_, i) => i)
      .filter((i) => graph.strings[graph.name[i]] === 'experts.rearrange')
      .map((i) => `${i} ${graph.commSizeBytes[i]} B`);
  };

  it('moves experts once, before the step that finds them elsewhere', () => {
    // Rank 0 gets 6, rank 1 gets 3: one expert of 3 x 64 x 128 bf16 in each of two layers; half of an
    // all-to-all's buffer stays with its rank.
    expect(rearranging(2)).toEqual([`0 ${2 * 2 * 3 * 64 * 128 * 2} B`]);
    expect(rearranging(1)).toEqual([]);
    expect(rearranging(3)).toEqual([]);
    expect(rearranging(10)).toEqual([]);
  });

  it('refuses members that balance otherwise', () => {
    const other = { ...pair, experts: { ...settings, seed: 1 } };
    expect(() => generate([pair, other], settings)).toThrow(
      /^example: nodes\[0\]\.instances\[1\]\.experts: .* must agree in `experts`/,
    );
  });
});

describe('imbalance', () => {
  it('gives the rank with hot experts a longer block: the others wait for it at the combine', () => {
    const pair = { ep_size: 2, dp_group: 'A' };
    const loads = [[4, 4, 4, 4, 0, 0, 0, 0]];
    const settings: ExpertSettings = { routing: 'file', loads };
    const hot = generate([pair, pair], settings, { paddedTokens: 8 });
    const idle = generate([pair, pair], settings, { paddedTokens: 8, instance: 1 });
    // Rank 0 has all 32 pairs of 16 tokens: 7 x 16 + 1000 x 4 (1 - (1/2)^16); rank 1 has none.
    expect(block(hot.programs[0].graph)[1]).toBe('layer0.moe 4112 ns');
    expect(block(idle.programs[0].graph)[1]).toBe('layer0.moe 0 ns');
  });

  it('makes programs per rank and quantities per layer', () => {
    const settings: ExpertSettings = { routing: 'zipf', zipf_exponent: 1.5 };
    const set = generate([{ tp_size: 2, ep_size: 2 }], settings);
    expect(set.programs.map(({ npus }) => npus)).toEqual([[0], [1]]);
    const times = set.programs.map(({ graph }) => block(graph)[0]);
    expect(times[0]).not.toBe(times[1]);
  });
});
