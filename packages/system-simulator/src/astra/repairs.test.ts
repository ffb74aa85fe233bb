/** Each repair alone: the figure with it and without it, by hand. */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { describe, expect, test } from 'vitest';
import { collectiveGraph, finishes, network, type Options, simulate } from './astra.test-helper.js';
import { allRepairs, type RepairName } from './repairs.js';
import { describeUnfinished } from './unfinished.js';

function withRepair(name: RepairName): { repairs: ReturnType<typeof allRepairs> } {
  return { repairs: { ...allRepairs(false), [name]: true } };
}

function both(options: Options, name: RepairName): [stock: number, repaired: number] {
  const more = { ...options.more, ...withRepair(name) };
  return [finishes(options)[0], finishes({ ...options, more })[0]];
}

const ring4 = network(['Ring', 4]);
const S = 1_048_576;

test('routeAllDims: a message from (3,0) to (0,1) crosses both dimensions', () => {
  const graphs = Array.from({ length: 8 }, (_, npu) => {
    const builder = new GraphBuilder();
    const type = npu === 3 ? NodeType.commSend : npu === 4 ? NodeType.commRecv : NodeType.comp;
    const node = builder.addNode(type, 'node');
    if (type !== NodeType.comp) builder.setPointToPoint(node, 3, 4, 0, S);
    return builder.finish();
  });
  const net = network(['Ring', 4, 200, 100], ['Switch', 2, 50, 500]);
  const repaired = { net, graphs, more: withRepair('routeAllDims') };
  expect(finishes({ net, graphs })[3]).toBe(4982);
  // 100 + 2 * 500 ns of latency, 2^20 bytes at 50 GB/s.
  expect(finishes(repaired)[3]).toBe(1100 + 19_531);
});

test('trueChunks: a byte more does not cost a chunk more', () => {
  const system = { 'preferred-dataset-splits': 4 };
  const [stock, repaired] = both(
    { net: ring4, graphs: collectiveGraph('AR', S + 1), system },
    'trueChunks',
  );
  expect(stock).toBe(110_900);
  expect(repaired).toBe(88_720);
});

test('cutThroughSwitch: one serialization instead of two', () => {
  const options: Options = {
    net: network(['Switch', 4]),
    graphs: collectiveGraph('AR', S),
    more: { backend: 'congestion-aware' },
  };
  // As without congestion: 7 E + 6 T(2, m) + 3 P.
  expect(both(options, 'cutThroughSwitch')).toEqual([111_832, 82_540]);
});

test('groupEndpointDelay: groups wait what all wait', () => {
  const graphs = [0, 1, 2, 3].map((npu) =>
    collectiveGraph('AR', S, (builder, node) => builder.setGroup(node, npu % 2 === 0 ? '1' : '2')),
  );
  const groups = new Map([
    [1, [0, 2]],
    [2, [1, 3]],
  ]);
  const options = { net: ring4, graphs, system: { 'endpoint-delay': 100 }, more: { groups } };
  // 3 * 100 instead of 3 * 10.
  expect(both(options, 'groupEndpointDelay')).toEqual([53_015, 53_285]);
});

test('groupTags: NPUs outside a group keep step with those inside', () => {
  const graphs = [0, 1, 2, 3].map((npu) => {
    const builder = new GraphBuilder();
    if (npu < 2) {
      const own = builder.addNode(NodeType.commColl, 'pair');
      builder.setCollective(own, 0, S);
      builder.setGroup(own, '1');
    }
    const all = builder.addNode(NodeType.commColl, 'all');
    builder.setCollective(all, 0, S);
    if (npu < 2) builder.addDep(all, 0);
    return builder.finish();
  });
  const groups = new Map([[1, [0, 1]]]);
  const stock = finishes({ net: ring4, graphs, more: { groups } });
  expect(stock.every(Number.isNaN)).toBe(true);
  const repaired = finishes({ net: ring4, graphs, more: { groups, ...withRepair('groupTags') } });
  expect(repaired.every((time) => time > 79_540)).toBe(true);
});

test('wakeAfterSkip: what follows a node without work starts at once', () => {
  const builder = new GraphBuilder();
  builder.addNode(NodeType.invalid, 'nothing');
  builder.setDuration(builder.addNode(NodeType.comp, 'long'), 9000);
  builder.setCpuOp(1, true);
  const after = builder.addNode(NodeType.comp, 'after');
  builder.setDuration(after, 5000);
  builder.addDep(after, 0);
  // Stock waits for the next end on this NPU.
  expect(both({ net: ring4, graphs: builder.finish() }, 'wakeAfterSkip')).toEqual([14_000, 9000]);
});

test('loneMembers: a collective of a group of one ends', () => {
  const graphs = collectiveGraph('AR', S, (builder, node) => builder.setInvolvedDims(node, 0, 1));
  const [stock, repaired] = both({ net: ring4, graphs }, 'loneMembers');
  expect(stock).toBeNaN();
  expect(repaired).toBe(0);
});

describe('chunkOrder: chunks that lock each other out', () => {
  const net = {
    ...network(['Ring', 4, 200, 100], ['Mesh', 2, 100, 200], ['Switch', 2, 50, 500]),
    links: [{ npu: 3, bandwidth: 20 }],
  };
  const graphs = collectiveGraph('AR', S);
  const system = { 'preferred-dataset-splits': 4, 'local-mem-bw': 1600 };
  test.each(['congestion-unaware', 'congestion-aware'] as const)('%s', (backend) => {
    const on = allRepairs(true);
    const off = { ...on, chunkOrder: false };
    const stuck = simulate({ net, graphs, system, more: { backend, repairs: off } });
    expect(stuck.unfinished().length).toBe(16);
    expect(describeUnfinished(stuck)[0]).toMatch(
      /^NPU 0 never finishes: 1 of 1 nodes left, its communication slot is held by node 0 "AR"/,
    );
    const free = simulate({ net, graphs, system, more: { backend, repairs: on } });
    expect(free.unfinished()).toEqual([]);
  });
});

test('customChunks: a custom collective runs once; its messages come from its trace', () => {
  // Each rank sends S bytes to the next and receives from the previous.
  const ranks = [0, 1, 2, 3].map((rank) => {
    const builder = new GraphBuilder();
    const send = builder.addNode(NodeType.commSend, 'send');
    builder.setPointToPoint(send, rank, (rank + 1) % 4, rank, S);
    const receive = builder.addNode(NodeType.commRecv, 'receive');
    const before = (rank + 3) % 4;
    builder.setPointToPoint(receive, before, rank, before, S);
    return builder.finish();
  });
  const options: Options = {
    net: ring4,
    graphs: collectiveGraph('AR', S),
    system: { 'all-reduce-implementation-custom': ['shift'] },
    more: { customGraph: (_prefix, rank) => ranks[rank] },
  };
  expect(finishes(options)).toEqual([20_031, 20_031, 20_031, 20_031]);
  const split = { ...options, system: { ...options.system, 'preferred-dataset-splits': 4 } };
  expect(() => finishes(split)).toThrow(/runs as one chunk/);
  const more = { ...options.more, ...withRepair('customChunks') };
  expect(finishes({ ...split, more })[0]).toBe(20_031);
});
