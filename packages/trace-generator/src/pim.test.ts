/** Attention in memory: its time by hand, its nodes beside the device's, halves that take turns. */
import { type ExecutionGraph, NodeType } from '@astrolabe/chakra';
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { Batch } from './batch.js';
import { collectiveOrder } from './collective-order.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator } from './generate.js';
import { pimCost } from './pim.js';

/** 8 channels of 1 GiB that read 1 GB/s; 100 ns fixed for 4096 of head width. */
const device = {
  channelBytes: 2 ** 30,
  channelBandwidthGBps: 16,
  latencyNs: 10,
  idleW: 1,
  peakW: 3,
  readBandwidthGBps: 1,
  fixedNs: 6400,
};

function cluster(instances: readonly object[], model: object = tinyModel): Cluster {
  const entries = instances.map((instance) => ({
    model_name: 'tiny',
    hardware: 'example',
    npu_mem: { mem_size: 24, mem_bw: 1000 },
    enable_attn_offloading: true,
    ...instance,
  }));
  const memory = { mem_size: 8, mem_bw: 100, pim_config: 'example' };
  return resolveCluster(
    { link_bw: 16, link_latency: 1000, nodes: [{ cpu_mem: memory, instances: entries }] },
    'example',
    { findModel: (name) => parseModel(name, model, 'example'), findPim: () => device },
  );
}

function batchOf(newTokens: number[], contextTokens: number[]): Batch {
  const batch = new Batch();
  const requests = newTokens.map((_, i) => i);
  batch.read({ instance: 0, iteration: 0, releaseNs: 0, requests, newTokens, contextTokens });
  return batch;
}

const names = (graph: ExecutionGraph): string[] =>
  Array.from({ length: graph.nodeCount }, (_, i) => graph.strings[graph.name[i]]);

describe('pimCost', () => {
  const one = cluster([{}]);
  const cost = pimCost(one, one.instances[0]);

  it('takes the memory as its channels are', () => {
    expect(one.nodes[0].pim?.numChannels).toBe(8);
    expect(one.nodes[0].hostMemory).toMatchObject({ bandwidthGBps: 128, latencyNs: 10 });
  });

  it('follows the bytes of the growing context', () => {
    // KV of a token and layer: 2 x 4 heads x 16 x 2 B = 256 B, at 1 GB/s 256 ns; 4 channels; fixed
    // time 6400 x 64 / 4096 = 100 ns.
    expect(cost?.attentionNs(batchOf([1], [9]))).toBe((10 * 256 + 100) / 4);
    expect(cost?.attentionNs(batchOf([1], [10]))).toBe((11 * 256 + 100) / 4);
    expect(cost?.attentionNs(batchOf([5], [0]))).toBe(0);
  });

  it('spreads requests over two groups of four channels, the longest at least', () => {
    expect(cost?.attentionNs(batchOf([1, 1], [9, 9]))).toBe((10 * 256 + 100) / 4);
    expect(cost?.attentionNs(batchOf([1, 1, 1, 1], [9, 9, 9, 9]))).toBe((20 * 256 + 200) / 4);
    expect(cost?.attentionNs(batchOf([1, 1], [99, 9]))).toBe((100 * 256 + 100) / 4);
  });

  it('divides channels among the ranks that use them', () => {
    const two = cluster([{}, {}]);
    const half = pimCost(two, two.instances[0]);
    expect(half?.attentionNs(batchOf([1, 1], [9, 9]))).toBe((20 * 256 + 200) / 4);
  });

  it('is absent when attention stays on the device', () => {
    const plain = cluster([{ enable_attn_offloading: false }]);
    expect(plain.nodes[0].pim).toBeUndefined();
    expect(pimCost(plain, plain.instances[0])).toBeUndefined();
  });
});

describe('graphs with attention in memory', () => {
  function graphOf(instance: object, newTokens: number[], contextTokens: number[]) {
    const generator = createTraceGenerator({
      cluster: cluster([instance]),
      latencyModelFor: () => exampleLatency(fusedOperators),
      terms: { batchPadding: false },
    });
    const requests = newTokens.map((_, i) => i);
    return generator.generate({
      instance: 0,
      iteration: 0,
      releaseNs: 0,
      requests,
      newTokens,
      contextTokens,
    }).programs[0].graph;
  }

  it('decodes in memory beside prefill on the device; prompts move their KV', () => {
    const graph = graphOf({}, [1, 6], [9, 0]);
    const all = names(graph);
    const inMemory = all.indexOf('layer0.pim_attention');
    const onDevice = all.indexOf('layer0.attention');
    expect(graph.type[inMemory]).toBe(NodeType.pimComp);
    expect(graph.durationNs[inMemory]).toBe((10 * 256 + 100) / 4);
    // Q and result 2 x 64 x 2 B, K and V of one token 256 B.
    expect(graph.tensorSizeBytes[inMemory]).toBe(512);
    expect(graph.durationNs[onDevice]).toBeGreaterThan(0);
    const deps = (node: number): number[] => [
      ...graph.dataDep.slice(graph.dataDepStart[node], graph.dataDepStart[node + 1]),
    ];
    expect(deps(inMemory)).toEqual(deps(onDevice));
    const next = all.indexOf('layer0.o_proj');
    expect(deps(next).sort()).toEqual([inMemory, onDevice].sort());
    const store = all.indexOf('layer0.kv.to_pim');
    expect(graph.type[store]).toBe(NodeType.memStore);
    expect(graph.tensorSizeBytes[store]).toBe(6 * 256);
    const decodes = graphOf({}, [1], [9]);
    expect(decodes.durationNs[names(decodes).indexOf('layer0.attention')]).toBe(0);
  });

  it('halves take turns: two chains that share the device', () => {
    const instance = { enable_sub_batch_interleaving: true };
    const whole = graphOf({}, [1, 1], [9, 19]);
    const halves = graphOf(instance, [1, 1], [9, 19]);
    expect(halves.nodeCount).toBe(2 * whole.nodeCount);
    const all = names(halves);
    const starts = all.flatMap((_, i) =>
      halves.dataDepStart[i] === halves.dataDepStart[i + 1] ? [i] : [],
    );
    expect(starts).toEqual([0, whole.nodeCount]);
    const first = all.indexOf('layer0.pim_attention');
    expect(halves.durationNs[first]).toBe((10 * 256 + 100) / 4);
    expect(halves.durationNs[first + whole.nodeCount]).toBe((20 * 256 + 100) / 4);
    // One request cannot be halved.
    expect(graphOf(instance, [1], [9]).nodeCount).toBe(whole.nodeCount);
  });

  it('halves of several ranks run their collectives in one order', () => {
    const instance = { enable_sub_batch_interleaving: true, tp_size: 2 };
    const order = collectiveOrder(graphOf(instance, [1, 1], [9, 19]));
    const layer = ['layer0.o_proj.all_reduce', 'layer0.down_proj.all_reduce'];
    expect(order.slice(0, 2)).toEqual(['embedding.all_reduce', 'embedding.all_reduce']);
    expect(order.slice(2, 6)).toEqual([...layer, ...layer]);
    expect(order.slice(-2)).toEqual(['lm_head.all_gather', 'lm_head.all_gather']);
  });

  it.each([1, 2])('halves send KV on once, behind the last of them (TP %i)', (tp_size) => {
    const halves = { enable_sub_batch_interleaving: true, pd_type: 'prefill', tp_size };
    const decode = { enable_attn_offloading: false, pd_type: 'decode', tp_size };
    const generator = createTraceGenerator({
      cluster: cluster([halves, decode]),
      latencyModelFor: () => exampleLatency(fusedOperators),
    });
    const { programs } = generator.generate({
      instance: 0,
      iteration: 0,
      releaseNs: 0,
      requests: [0, 1],
      newTokens: [4, 6],
      contextTokens: [0, 0],
      kvSends: [{ transfer: 0, to: 1, tokens: 16 }],
    });
    expect(programs).toHaveLength(tp_size);
    for (const { graph } of programs) {
      const all = names(graph);
      for (const layer of [0, 1]) {
        const sends = all.flatMap((name, i) => (name === `layer${layer}.kv.send` ? [i] : []));
        expect(sends).toHaveLength(1);
        // K and V of 16 tokens, 4 heads of 16 over the ranks, 2 bytes.
        expect(graph.commSizeBytes[sends[0]]).toBe((2 * 16 * 4 * 16 * 2) / tp_size);
        expect(sends[0]).toBeGreaterThan(all.lastIndexOf(`layer${layer}.attention`));
      }
    }
  });

  it('refuses halves of ranks that share experts, which may have one request', () => {
    const rank = { enable_sub_batch_interleaving: true, ep_size: 2, dp_group: 'A' };
    const make = (instances: readonly object[]) => () =>
      createTraceGenerator({
        cluster: cluster(instances, tinyExperts),
        latencyModelFor: () => exampleLatency(fusedOperators),
      });
    expect(make([rank, rank])).toThrow(
      'nodes[0].instances[0].enable_sub_batch_interleaving: cannot be combined with data-parallel',
    );
    expect(make([{ enable_sub_batch_interleaving: true }])).not.toThrow();
  });

  it('refuses halves without memory that computes, or through a pipeline', () => {
    const both = { enable_sub_batch_interleaving: true };
    expect(() => graphOf({ ...both, enable_attn_offloading: false }, [1], [9])).toThrow(
      'needs enable_attn_offloading',
    );
    expect(() => graphOf({ ...both, pp_size: 2 }, [1], [9])).toThrow('pipeline stages');
  });
});
