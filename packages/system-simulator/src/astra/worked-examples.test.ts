/**
 * The worked examples of the specification, numbered as there: every figure was produced by the real
 * binary. Formulas: E endpoint delay, T(h, s) message over h hops, P(s) reduction.
 */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { describe, expect, test } from 'vitest';
import {
  type CollectiveName,
  collectiveGraph,
  finishes,
  network,
  type Options,
  simulate,
} from './astra.test-helper.js';

const S = 1_048_576;
const aware = { backend: 'congestion-aware' } as const;
const ring4 = network(['Ring', 4]);
const twoDims = network(['Ring', 2, 200, 100], ['Switch', 2, 50, 500]);

/** Everybody finishes at the same time: that time. */
function together(options: Options): number {
  const times = finishes(options);
  expect(new Set(times).size).toBe(1);
  return times[0];
}

function one(
  net: Options['net'],
  kind: CollectiveName,
  rest: Partial<Options> = {},
  size = S,
): number {
  return together({ net, graphs: collectiveGraph(kind, size), ...rest });
}

function message(net: Options['net'], src: number, dst: number, more = {}): number {
  const numNpus = net.npus_count.reduce((product, n) => product * n, 1);
  const graphs = Array.from({ length: numNpus }, (_, npu) => {
    const builder = new GraphBuilder();
    const type = npu === src ? NodeType.commSend : npu === dst ? NodeType.commRecv : NodeType.comp;
    const node = builder.addNode(type, 'node');
    if (type !== NodeType.comp) builder.setPointToPoint(node, src, dst, 3, S);
    return builder.finish();
  });
  const times = finishes({ net, graphs, more });
  expect(times[src]).toBe(times[dst]);
  return times[dst];
}

test('messages (1 to 4)', () => {
  expect(message(network(['Ring', 16]), 1, 4)).toBe(21_031);
  expect(message(network(['Ring', 16]), 1, 4, aware)).toBe(60_093);
  expect(message(network(['Switch', 16]), 1, 4)).toBe(20_531);
  expect(message(network(['Switch', 16]), 1, 4, aware)).toBe(40_062);
  expect(message(network(['Ring', 4, 200, 100], ['Switch', 2, 50, 500]), 3, 4)).toBe(4982);
});

test('ring (5 to 9)', () => {
  expect(one(ring4, 'AR')).toBe(79_540);
  expect(one(ring4, 'RS')).toBe(63_364);
  expect(one(ring4, 'AG')).toBe(60_133);
  expect(one(ring4, 'A2A')).toBe(32_362);
  expect(one(network(['Switch', 4]), 'AR')).toBe(82_540);
  expect(one(network(['Switch', 4]), 'AR', { more: aware })).toBe(111_832);
});

test('direct (10 to 15)', () => {
  const connected = network(['FullyConnected', 4]);
  const how = 'direct';
  expect(one(connected, 'AR', { how })).toBe(26_520);
  expect(one(connected, 'RS', { how })).toBe(21_128);
  expect(one(connected, 'AG', { how })).toBe(20_051);
  expect(one(connected, 'A2A', { how })).toBe(5402);
  expect(one(connected, 'A2A', { how: 'direct1' })).toBe(16_186);
  expect(one(network(['Switch', 4]), 'AR', { how })).toBe(27_520);
  expect(one(network(['Switch', 4]), 'AR', { how, more: aware })).toBe(47_048);
  expect(one(ring4, 'A2A', { how })).toBe(5902);
  expect(one(ring4, 'A2A', { how, more: aware })).toBe(15_666);
  expect(one(network(['Switch', 4]), 'A2A', { how, more: aware })).toBe(20_548);
  expect(one(connected, 'A2A', { how, more: aware })).toBe(5402);
});

test('halving-doubling (16 to 18)', () => {
  const how = 'halvingDoubling';
  const connected = network(['FullyConnected', 4]);
  expect(one(connected, 'AR', { how })).toBe(47_070);
  expect(one(connected, 'RS', { how })).toBe(31_403);
  expect(one(connected, 'AG', { how })).toBe(59_623);
  expect(one(network(['Ring', 8]), 'AR', { how })).toBe(64_835);
});

test('double binary tree: NPUs end at different times (19, 20)', () => {
  const how = 'doubleBinaryTree';
  const graphs = collectiveGraph('AR', S);
  expect(finishes({ net: network(['FullyConnected', 4]), graphs, how })).toEqual([
    268_913, 248_872, 268_913, 165_918,
  ]);
  expect(finishes({ net: network(['FullyConnected', 2]), graphs, how })).toEqual([103_005, 82_964]);
});

describe('chunks and queues (21 to 26)', () => {
  const split = (active: number, more = {}) => ({
    system: { 'preferred-dataset-splits': 4, 'active-chunks-per-dimension': active, ...more },
  });
  test('active chunks', () => {
    expect(one(ring4, 'AR', split(1))).toBe(88_720);
    expect(one(ring4, 'AR', split(2))).toBe(44_360);
    expect(one(ring4, 'AR', split(4))).toBe(22_180);
    expect(one(ring4, 'AR', { ...split(4), more: { queuesPerDim: 4 } })).toBe(44_360);
  });
  test('sizes that do not divide', () => {
    expect(one(ring4, 'AR', split(1), S + 1)).toBe(110_900);
    expect(one(ring4, 'AR', split(1), 10)).toBe(12_280);
  });
  test('injection scale, free reductions', () => {
    expect(one(ring4, 'AR', { ...split(4), more: { injectionScale: 0.5 } })).toBe(22_145);
    expect(one(ring4, 'AR', { system: { 'local-mem-bw': 0 } })).toBe(32_362);
  });
});

test('groups wait a constant 10 ns (27)', () => {
  const graphs = [0, 1, 2, 3].map((npu) =>
    collectiveGraph('AR', S, (builder, node) => builder.setGroup(node, npu % 2 === 0 ? '1' : '2')),
  );
  const groups = new Map([
    [1, [0, 2]],
    [2, [1, 3]],
  ]);
  const system = { 'endpoint-delay': 100 };
  expect(together({ net: ring4, graphs, system, more: { groups } })).toBe(53_015);
});

test('two dimensions (28 to 32)', () => {
  expect(one(twoDims, 'AR')).toBe(64_097);
  const baseline = { system: { 'collective-optimization': 'baseline' } };
  expect(one(twoDims, 'AR', baseline)).toBe(89_582);
  expect(one(twoDims, 'AG')).toBe(30_436);
  expect(one(twoDims, 'RS')).toBe(55_644);
  expect(one(twoDims, 'A2A')).toBe(13_346);
  expect(one(twoDims, 'AR', { how: ['oneRing'] })).toBe(55_168);
  const four = (active: number) => ({
    system: { 'preferred-dataset-splits': 4, 'active-chunks-per-dimension': active },
  });
  expect(one(twoDims, 'AR', four(1))).toBe(43_502);
  expect(one(twoDims, 'AR', four(2))).toBe(26_316);
  expect(one(twoDims, 'AR', { ...four(1), more: { queuesPerDim: 2 } })).toBe(43_502);
});

test('larger examples of upstream (33 to 35, 40, 41)', () => {
  const ring8 = network(['Ring', 8]);
  const four = (more: Record<string, unknown>) => ({
    system: { 'preferred-dataset-splits': 4, ...more },
  });
  expect(one(ring8, 'AR', four({ 'local-mem-bw': 50 }))).toBe(117_780);
  const cube = network(
    ['Ring', 2, 200, 50],
    ['FullyConnected', 8, 100, 500],
    ['Switch', 4, 50, 2000],
  );
  expect(one(cube, 'AR', four({ 'local-mem-bw': 50 }))).toBe(126_398);
  const hgx = network(['Switch', 8, 400, 936.25]);
  const active = { 'local-mem-bw': 3350, 'active-chunks-per-dimension': 2 };
  expect(one(hgx, 'AR', { ...four(active), more: aware })).toBe(57_426);
  const bus = { 'local-mem-bw': 1600, 'model-shared-bus': 1 };
  expect(one(ring8, 'AR', four({ ...bus, L: 5, o: 3, g: 2, G: 0.01 }))).toBe(133_040);
  expect(one(ring8, 'AR', four(bus))).toBe(94_732);
  expect(one(ring8, 'AR', four({ 'local-mem-bw': 1600 }))).toBe(64_440);
});

test('roofline (37, 38)', () => {
  const compute = (ops: number, bytes: number): number => {
    const builder = new GraphBuilder();
    const node = builder.addNode(NodeType.comp, 'gemm');
    builder.setNumOps(node, ops);
    builder.setTensorSize(node, bytes);
    const system = { 'roofline-enabled': 1, 'peak-perf': 900, 'local-mem-bw': 1600 };
    return together({ net: network(['Ring', 4]), graphs: builder.finish(), system });
  };
  expect(compute(1e12, 1e6)).toBe(1_111_111);
  expect(compute(1e9, 1e9)).toBe(625_000);
});

test('a memory pool serves one access at a time (39)', () => {
  const builder = new GraphBuilder();
  builder.setTensorSize(builder.addNode(NodeType.memLoad, 'load'), 1000);
  const memory = {
    type: 'MEMORY_POOL',
    latencyNs: 100,
    bandwidthGBps: 50,
    npusPerNode: 1,
  } as const;
  const graphs = builder.finish();
  expect(finishes({ net: ring4, graphs, more: { memory } })).toEqual([120, 240, 360, 480]);
});

test('statistics: exposed is all that is not compute; overlap of compute and communication', () => {
  const builder = new GraphBuilder();
  builder.setCollective(builder.addNode(NodeType.commColl, 'AR'), 0, S);
  builder.setDuration(builder.addNode(NodeType.comp, 'gemm'), 50_000);
  const [first] = simulate({ net: ring4, graphs: builder.finish() }).results();
  expect(first).toMatchObject({
    finishNs: 79_540,
    gpuTicksNs: 50_000,
    wallNs: 79_540,
    commNs: 79_540,
    gpuNs: 50_000,
  });
});
