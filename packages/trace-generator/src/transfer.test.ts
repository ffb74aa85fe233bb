/** KV hand-off by hand: 4 KV heads of 16, 2 layers, bf16, so 64 B per head, layer and token. */
import { type ExecutionGraph, type GraphSet, NodeType } from '@astrolabe/chakra';
import { tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import { kvTag, planKvLinks } from './kv-links.js';
import type { Transfer } from './kv-transfer.js';
import { createTransferGenerator } from './transfer-generator.js';

function generate(source: object, target: object, transfer: Partial<Transfer> = {}): GraphSet {
  const cluster = exampleCluster([
    { pd_type: 'prefill', ...source },
    { pd_type: 'decode', ...target },
  ]);
  return createTransferGenerator(cluster)({
    transfer: 7,
    request: 0,
    from: 0,
    to: 1,
    releaseNs: 500,
    tokens: 10,
    ...transfer,
  });
}

function rows(graph: ExecutionGraph): string[] {
  return Array.from({ length: graph.nodeCount }, (_, i) => {
    const name = graph.strings[graph.name[i]];
    return `${name} ${graph.commSrc[i]}>${graph.commDst[i]} ${graph.commSizeBytes[i]} B`;
  });
}

describe('equal degrees', () => {
  it('sends all heads of all layers in one message', () => {
    const set = generate({}, {});
    expect(set).toMatchObject({ instance: 1, iteration: 7, releaseNs: 500, lane: 1 });
    expect(set.programs.map(({ npus }) => npus)).toEqual([[0], [1]]);
    expect(rows(set.programs[0].graph)).toEqual(['kv.send 0>1 5120 B']);
    expect(rows(set.programs[1].graph)).toEqual(['kv.receive 0>1 5120 B']);
  });

  it('sends layer by layer, one after another', () => {
    const { graph } = generate({}, {}, { layerwise: true }).programs[0];
    expect(rows(graph)).toEqual(['layer0.kv.send 0>1 2560 B', 'layer1.kv.send 0>1 2560 B']);
    expect([...graph.dataDep]).toEqual([0]);
  });

  it('only receives when sends are part of the step', () => {
    const set = generate({}, {}, { inStep: true });
    expect(set.programs.map(({ npus }) => npus)).toEqual([[1]]);
    const { graph } = set.programs[0];
    expect(rows(graph)).toEqual(['layer0.kv.receive 0>1 2560 B', 'layer1.kv.receive 0>1 2560 B']);
    expect([...graph.dataDep]).toEqual([0]);
    expect([...graph.commTag]).toEqual([kvTag(7), kvTag(7)]);
  });

  it('asks first when pulled', () => {
    const set = generate({}, {}, { pull: true });
    expect(rows(set.programs[0].graph)).toEqual([
      'kv.pull.receive 1>0 256 B',
      'kv.send 0>1 5120 B',
    ]);
    expect(rows(set.programs[1].graph)[0]).toBe('kv.pull.send 1>0 256 B');
  });
});

describe('unlike degrees', () => {
  it('gathers heads of two prefill ranks on one decode rank, side by side', () => {
    const set = generate({ tp_size: 2 }, {});
    const { graph } = set.programs[2];
    expect(rows(graph)).toEqual(['kv.receive 0>2 2560 B', 'kv.receive 1>2 2560 B']);
    expect(graph.dataDep).toHaveLength(0);
  });

  it('spreads decode ranks over the copies of a replicated head', () => {
    const cluster = exampleCluster([{ tp_size: 4 }, { tp_size: 4 }], {
      ...tinyModel,
      num_key_value_heads: 2,
    });
    const links = planKvLinks(cluster.instances[0], cluster.instances[1]);
    // Head 0 lies on ranks 0 and 1, head 1 on 2 and 3; every rank sends once.
    expect(links.map(({ src, dst, heads }) => [src, dst, heads])).toEqual([
      [0, 4, 1],
      [1, 5, 1],
      [2, 6, 1],
      [3, 7, 1],
    ]);
  });

  it('sends a stage its own layers', () => {
    const set = generate({ pp_size: 2 }, {});
    expect(rows(set.programs[2].graph)).toEqual(['kv.receive 0>2 2560 B', 'kv.receive 1>2 2560 B']);
  });

  it('moves every byte once, whatever the degrees', () => {
    for (const source of [1, 2, 4]) {
      for (const target of [1, 2, 4]) {
        const set = generate({ tp_size: source, pp_size: 2 }, { tp_size: target });
        const total = (type: number): number =>
          set.programs.reduce(
            (sum, { graph }) =>
              sum +
              graph.commSizeBytes.reduce((s, b, i) => s + (graph.type[i] === type ? b : 0), 0),
            0,
          );
        expect(total(NodeType.commSend)).toBe(5120);
        expect(total(NodeType.commRecv)).toBe(5120);
      }
    }
  });
});

describe('errors', () => {
  it('refuses unknown instances and unlike KV', () => {
    expect(() => generate({}, {}, { to: 5 })).toThrow('instance 5 is unknown');
    expect(() => generate({}, {}, { to: 0 })).toThrow('to itself');
    expect(() => generate({}, { kv_cache_dtype: 'fp8' })).toThrow('does not fit');
  });
});

describe('sends within a step', () => {
  it('hang behind the attention of their layer, beside the chain', () => {
    const cluster = exampleCluster([{ pd_type: 'prefill' }, { pd_type: 'decode' }]);
    const { generate: step } = createTraceGenerator({
      cluster,
      latencyModelFor: () => exampleLatency(fusedOperators),
    });
    const { graph } = step({
      instance: 0,
      iteration: 0,
      releaseNs: 0,
      requests: [3, 4],
      newTokens: [10, 20],
      contextTokens: [0, 0],
      kvSends: [
        { transfer: 7, to: 1, tokens: 10 },
        { transfer: 8, to: 1, tokens: 20 },
      ],
    }).programs[0];
    const names = Array.from({ length: graph.nodeCount }, (_, i) => graph.strings[graph.name[i]]);
    const attention = names.indexOf('layer1.attention');
    const sends = [attention + 1, attention + 2];
    expect(sends.map((i) => names[i])).toEqual(['layer1.kv.send', 'layer1.kv.send']);
    expect(sends.map((i) => graph.commSizeBytes[i])).toEqual([2560, 5120]);
    expect(sends.map((i) => graph.commTag[i])).toEqual([kvTag(7), kvTag(8)]);
    const parents = (i: number): number[] => [
      ...graph.dataDep.slice(graph.dataDepStart[i], graph.dataDepStart[i + 1]),
    ];
    expect(sends.map(parents)).toEqual([[attention], [attention]]);
    expect(parents(attention + 3)).toEqual([attention]);
  });
});
