/** Weights off the device by hand: hidden 64, intermediate 128, bf16; loads beside the chain. */
import { type ExecutionGraph, NodeType, TensorLocation } from '@astrolabe/chakra';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { exampleCluster, promptOfEight } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';

function generate(instance: object, model: object = tinyModel): ExecutionGraph {
  const generator = createTraceGenerator({
    cluster: exampleCluster([instance], model),
    latencyModelFor: () => exampleLatency(fusedOperators),
  });
  return generator.generate(promptOfEight).programs[0].graph;
}

function nameOf(graph: ExecutionGraph, node: number): string {
  return graph.strings[graph.name[node]];
}

/** Each load: name, bytes, what it waits for and which node waits for it besides the chain. */
function loads(graph: ExecutionGraph): string[] {
  const parents = (i: number): number[] => [
    ...graph.dataDep.slice(graph.dataDepStart[i], graph.dataDepStart[i + 1]),
  ];
  const rows: string[] = [];
  for (let i = 0; i < graph.nodeCount; i++) {
    if (graph.type[i] !== NodeType.memLoad) continue;
    const after = parents(i).map((node) => nameOf(graph, node));
    let user = i + 1;
    while (!parents(user).includes(i)) user++;
    const size = `${graph.tensorSizeBytes[i]} B`;
    rows.push(`${nameOf(graph, i)} ${size} after [${after}] for ${nameOf(graph, user)}`);
  }
  return rows;
}

describe('placement', () => {
  it('fetches an operator one layer ahead', () => {
    const graph = generate({ placement: { layers: { down_proj: { weights: 'cxl:1' } } } });
    // 128 x 64 x 2 B; the second layer's when the first begins.
    expect(loads(graph)).toEqual([
      'layer0.down_proj.weights 16384 B after [] for layer0.down_proj',
      'layer1.down_proj.weights 16384 B after [embedding] for layer1.down_proj',
    ]);
    const load = [...graph.type].indexOf(NodeType.memLoad);
    expect([graph.tensorLoc[load], graph.tensorDevice[load]]).toEqual([TensorLocation.cxl, 1]);
  });

  it('fetches on demand when told so', () => {
    const placement = { layers: { lm_head: { weights: 'cpu' } } };
    const graph = generate({ placement, weight_prefetch_layers: 0 });
    expect(loads(graph)).toEqual(['lm_head.weights 12800 B after [final_layernorm] for lm_head']);
    const ahead = generate({ placement });
    expect(loads(ahead)[0]).toContain('after [layer0.down_proj] for lm_head');
  });

  it('divides weights over TP and keeps everything by default', () => {
    const placement = { layers: { down_proj: { weights: 'cpu' } } };
    expect(loads(generate({ tp_size: 2, placement }))[0]).toContain(' 8192 B ');
    expect(loads(generate({}))).toEqual([]);
  });

  it('refuses unknown operators and devices', () => {
    const named = (operator: string, weights: string) => () =>
      generate({ placement: { layers: { [operator]: { weights } } } });
    expect(named('down_prj', 'cpu')).toThrow('no operator "down_prj"');
    expect(named('down_proj', 'cxl:2')).toThrow('cxl:2: the cluster has 2 CXL devices');
  });
});

describe('expert offloading', () => {
  // An expert has 3 x 64 x 128 elements: 49 152 B; 7.199 of 8 are active for 8 tokens.
  it('fetches active experts that are not cached, while the layer before runs', () => {
    const graph = generate({ experts: { offload: { cached_experts: 2 } } }, tinyExperts);
    const bytes = Math.round(8 * (1 - 0.75 ** 8) * (6 / 8) * 49152);
    expect(loads(graph)).toEqual([
      `layer0.experts.load ${bytes} B after [] for layer0.moe`,
      `layer1.experts.load ${bytes} B after [embedding] for layer1.moe`,
    ]);
  });

  it('waits for the gate without prefetch, and fetches nothing when all are cached', () => {
    const offload = { prefetch: false, cached_experts: 8 };
    const graph = generate({ experts: { offload } }, tinyExperts);
    expect(loads(graph)[0]).toBe(
      'layer0.experts.load 0 B after [layer0.post_layernorm] for layer0.moe',
    );
  });

  it('keeps the hottest experts on the device', () => {
    const loaded = [[8, 4, 2, 1, 1, 0, 0, 0]];
    const experts = { routing: 'file', loads: loaded, offload: { cached_experts: 4 } };
    const graph = generate({ experts }, tinyExperts);
    // Of weights 8 4 2 1 1 the first is picked by every token, the other share 1: 4/8 2/8 1/8 1/8.
    const bytes = Math.round((1 - (7 / 8) ** 8) * 49152);
    expect(loads(graph)[0]).toContain(` ${bytes} B `);
  });
});
