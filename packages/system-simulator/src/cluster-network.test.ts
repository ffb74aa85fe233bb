/** Topologies of cluster files: who shares what, and what a shared link does to two messages. */
import { type ExecutionGraph, GraphBuilder, type GraphSet, NodeType } from '@astrolabe/chakra';
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { clusterMachine } from './cluster-machine.js';
import { clusterNetwork } from './cluster-network.js';
import { createMachine } from './machine.js';

/** Nodes of so many one-device instances. @param links of nodes that have their own */
function cluster(
  nodes: readonly number[],
  topology: object | undefined,
  links: readonly (number | undefined)[] = [],
): Cluster {
  const instance = { model_name: 'tiny', hardware: 'X', npu_mem: { mem_size: 1, mem_bw: 1 } };
  const file = {
    link_bw: 1,
    link_latency: 0,
    topology,
    nodes: nodes.map((count, i) => ({
      ...(links[i] === undefined ? {} : { link_bw: links[i] }),
      cpu_mem: { mem_size: 1, mem_bw: 1 },
      instances: Array.from({ length: count }, () => instance),
    })),
  };
  return resolveCluster(file, 'c', { findModel: (name) => parseModel(name, tinyModel, 'c') });
}

/** 1 GB/s of 2^30 is 1.073741824 bytes per ns, so these take 1000 ms. */
const second = 2 ** 30;

/** Each message on its own lane-0 set; finish times in ms, in order of `messages`. */
function finishTimes(
  of: Cluster,
  messages: readonly (readonly [src: number, dst: number])[],
): number[] {
  const machine = createMachine(clusterMachine(of));
  messages.forEach(([src, dst], iteration) => {
    const graph = (type: NodeType): ExecutionGraph => {
      const builder = new GraphBuilder();
      const node = builder.addNode(type, 'message');
      builder.setPointToPoint(node, src, dst, iteration + 1, second);
      return builder.finish();
    };
    const set: GraphSet = {
      instance: 0,
      iteration,
      releaseNs: 0,
      lane: iteration,
      programs: [
        { npus: [src], graph: graph(NodeType.commSend) },
        { npus: [dst], graph: graph(NodeType.commRecv) },
      ],
      groups: {},
    };
    machine.submit(set);
  });
  const times: number[] = [];
  for (;;) {
    const done = machine.runUntil(Number.POSITIVE_INFINITY);
    if (done === undefined) break;
    times[done.iteration] = Math.round(done.finishNs / 1e6);
  }
  return times;
}

describe('clusterNetwork', () => {
  const twoNodes = { pcie: { bw: 1 }, nic: { per_node: 2, bw: 0.25 } };

  it.each([
    ['without topology', undefined, 1000],
    ['without contention', { ...twoNodes, congestion: 'unaware' }, 4000],
    ['with contention', twoNodes, 4000],
  ])('a node with links of its own, %s', (_, topology, betweenMs) => {
    const times = finishTimes(cluster([2, 2, 2, 2], topology, [2, undefined, 4, 2]), [
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ]);
    expect(times).toEqual([500, 1000, 250, 500]);
    // Like links join no nodes.
    const between = finishTimes(cluster([2, 2, 2], topology, [2, 2, 4]), [
      [0, 2],
      [3, 5],
    ]);
    expect(between).toEqual([betweenMs, betweenMs]);
  });

  it('finds the innermost link two devices share', () => {
    const network = clusterNetwork(
      cluster([4, 4], {
        nvlink: { domain_size: 2, bw: 100, latency: 1 },
        pcie: { bw: 10, latency: 2 },
        nic: { per_node: 2, bw: 5, latency: 3 },
      }),
    );
    expect(network.levels?.map(({ domain }) => domain)).toEqual([
      [0, 0, 1, 1, 8, 8, 9, 9],
      [0, 0, 0, 0, 1, 1, 1, 1],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect(network.levels?.[2].port).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });

  it('two senders to one receiver: together they take twice as long', () => {
    const three = cluster([3], { pcie: { bw: 1 } });
    expect(finishTimes(three, [[0, 2]])).toEqual([1000]);
    expect(
      Math.max(
        ...finishTimes(three, [
          [0, 2],
          [1, 2],
        ]),
      ),
    ).toBe(2000);
    expect(
      finishTimes(three, [
        [0, 2],
        [1, 0],
      ]),
    ).toEqual([1000, 1000]);
  });

  it('devices that share a network card wait for each other, on cards of their own they do not', () => {
    const shared = { pcie: { bw: 100 }, nic: { per_node: 1, bw: 1 } };
    const own = { pcie: { bw: 100 }, nic: { per_node: 2, bw: 1 } };
    const across: [number, number][] = [
      [0, 2],
      [1, 3],
    ];
    expect(Math.max(...finishTimes(cluster([2, 2], shared), across))).toBe(2000);
    expect(finishTimes(cluster([2, 2], own), across)).toEqual([1000, 1000]);
  });

  it("on rails a message leaves by the card of the receiver's rail", () => {
    const rails = { pcie: { bw: 100 }, nic: { per_node: 2, bw: 1, rails: true } };
    // Both receivers sit on rail 1, so both messages leave by card 1 of their node.
    expect(
      Math.max(
        ...finishTimes(cluster([2, 2, 2], rails), [
          [0, 3],
          [1, 5],
        ]),
      ),
    ).toBe(2000);
    expect(
      Math.max(
        ...finishTimes(cluster([2, 2], rails), [
          [0, 3],
          [1, 2],
        ]),
      ),
    ).toBe(1000);
  });

  it('a domain may span nodes', () => {
    const rack = {
      nvlink: { domain_size: 4, bw: 1, spans_nodes: true },
      pcie: { bw: 100 },
      nic: { per_node: 1, bw: 0.1 },
    };
    expect(finishTimes(cluster([2, 2], rack), [[0, 3]])).toEqual([1000]);
  });

  it('several nodes need network cards', () => {
    expect(() => cluster([1, 1], { pcie: { bw: 1 } })).toThrow(/nic is missing/);
    const tooMany = cluster([1, 1], { pcie: { bw: 1 }, nic: { per_node: 2, bw: 1 } });
    expect(() => clusterNetwork(tooMany)).toThrow(/2 cards for the 1 devices of node 0/);
  });
});
