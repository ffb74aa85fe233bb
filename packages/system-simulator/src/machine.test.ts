/**
 * The machine on graphs small enough to work out by hand, and two properties: live feeding equals
 * replay, and the fast paths equal the plain ones.
 */
import {
  CollectiveType,
  type ExecutionGraph,
  GraphBuilder,
  type GraphSet,
  NodeType,
  type Program,
} from '@astrolabe/chakra';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Completion } from './completion.js';
import { createMachine } from './machine.js';
import {
  beta,
  chain,
  collective,
  compute,
  linkBandwidthGBps,
  replay,
  set,
  sizes,
  spec,
} from './machine.test-helper.js';
import type { MachineSpec } from './machine-spec.js';

test('compute nodes run one after another', () => {
  const [done] = replay(spec(1), [set(0, [{ npus: [0], graph: chain(100, 200, 300) }])]);
  expect(done).toMatchObject({ startNs: 0, finishNs: 600, commBytes: 0 });
  expect(done.npus[0]).toMatchObject({ computeNs: 600, exposedCommNs: 0 });
});

test('a ring all-reduce takes the time of ASTRA-sim (example 5 with one chunk)', () => {
  const builder = new GraphBuilder();
  collective(builder, CollectiveType.allReduce, 1_048_576);
  const graph = builder.finish();
  // 7 E + 6 T + 3 P with m = 262144: T = trunc(500 + m / beta), P = 3 * trunc(m / 50).
  const hop = Math.trunc(500 + 262_144 / beta);
  const expected = 7 * 10 + 6 * hop + 3 * 3 * Math.trunc(262_144 / 50);
  expect(expected).toBe(79_540);
  for (const fastPaths of [true, false]) {
    const [done] = replay(spec(4, { fastPaths }), [set(0, [{ npus: [0, 1, 2, 3], graph }])]);
    expect(done.npus.map(({ finishNs }) => finishNs)).toEqual([
      expected,
      expected,
      expected,
      expected,
    ]);
    expect(done.commBytes).toBe(4 * 6 * 262_144);
  }
});

test('an NPU begins its next graph when the previous one is done and its release has come', () => {
  const npu0 = [{ npus: [0], graph: chain(100) }];
  const done = replay(spec(1), [set(0, npu0), set(1, npu0), set(2, npu0, { releaseNs: 1000 })]);
  expect(done.map(({ startNs, finishNs }) => [startNs, finishNs])).toEqual([
    [0, 100],
    [100, 200],
    [1000, 1100],
  ]);
});

test('lanes run side by side', () => {
  const npu0 = [{ npus: [0], graph: chain(100) }];
  const done = replay(spec(1), [set(0, npu0), set(0, npu0, { lane: 1 })]);
  expect(done.map(({ lane, finishNs }) => [lane, finishNs])).toEqual([
    [0, 100],
    [1, 100],
  ]);
});

test('a send takes the message time; waiting for it is not communication', () => {
  const sender = new GraphBuilder();
  compute(sender, 1000);
  const send = sender.addNode(NodeType.commSend, 'send');
  sender.setPointToPoint(send, 0, 1, 7, 1_048_576);
  sender.addDep(send, 0);
  const receiver = new GraphBuilder();
  receiver.setPointToPoint(receiver.addNode(NodeType.commRecv, 'receive'), 0, 1, 7, 1_048_576);
  const [done] = replay(spec(2), [
    set(0, [
      { npus: [0], graph: sender.finish() },
      { npus: [1], graph: receiver.finish() },
    ]),
  ]);
  // T(1, 2^20) = trunc(500 + 2^20 / beta) = 20031.
  expect(done.npus.map((npu) => [npu.finishNs, npu.computeNs, npu.exposedCommNs])).toEqual([
    [21_031, 1000, 20_031],
    [21_031, 0, 20_031],
  ]);
});

test('accesses of one memory device wait for each other, in order of NPU', () => {
  const builder = new GraphBuilder();
  const load = builder.addNode(NodeType.memLoad, 'load');
  builder.setTensorSize(load, 1000);
  builder.setTensorLocation(load, 2, 0);
  const graph = builder.finish();
  const [done] = replay(spec(3), [set(0, [{ npus: [2, 0, 1], graph }])]);
  // 100 ns + 1000 B / 50 B per ns = 120 ns each.
  expect(done.npus.map(({ npu, finishNs }) => [npu, finishNs])).toEqual([
    [0, 120],
    [1, 240],
    [2, 360],
  ]);
  expect(done.memoryBytes).toBe(3000);
});

test('time never passes the bound', () => {
  const machine = createMachine(spec(1));
  machine.submit(set(0, [{ npus: [0], graph: chain(100, 50) }]));
  expect(machine.runUntil(149)).toBeUndefined();
  expect(machine.nowNs).toBeLessThanOrEqual(149);
  expect(machine.runUntil(150)?.finishNs).toBe(150);
  expect(machine.runUntil(Number.POSITIVE_INFINITY)).toBeUndefined();
});

test('what cannot go on is reported', () => {
  const builder = new GraphBuilder();
  builder.setPointToPoint(builder.addNode(NodeType.commRecv, 'receive'), 0, 1, 7, 64);
  const machine = createMachine(spec(2));
  machine.submit(set(0, [{ npus: [1], graph: builder.finish() }]));
  expect(machine.runUntil(Number.MAX_SAFE_INTEGER)).toBeUndefined();
  const report = machine.stuck();
  expect(report.stuck).toBe(true);
  expect(report.lines).toEqual([
    'NPU 1: 1 of 1 nodes left of iteration 0 of instance 0',
    'NPU 1 waits for 64 bytes of NPU 0 with tag 7',
  ]);
});

test('a group over two instances meets in two sets', () => {
  const builder = new GraphBuilder();
  compute(builder, 1000);
  collective(builder, CollectiveType.allReduce, 1_048_576, 'experts');
  const graph = builder.finish();
  const groups = { experts: [0, 1, 2, 3] };
  for (const fastPaths of [true, false]) {
    const done = replay(spec(4, { fastPaths }), [
      set(0, [{ npus: [0, 1], graph }], { groups }),
      set(0, [{ npus: [2, 3], graph }], { groups, instance: 1, releaseNs: 5000 }),
    ]);
    // Instance 0 begins at 1000, instance 1 at 6000; a ring of four takes 79,540 ns (example 5). Six
    // hops from a late NPU end at an early one, six hops from an early one at a late one.
    expect(done.map(({ instance, finishNs }) => [instance, finishNs])).toEqual([
      [1, 80_540],
      [0, 85_540],
    ]);
    expect(done[1].npus[0]).toMatchObject({ computeNs: 1000, exposedCommNs: 84_540 });
  }
});

test('what ends at one instant is handed out in order of submission', () => {
  const sets = [
    set(0, [{ npus: [0], graph: chain(100, 100) }]),
    set(1, [{ npus: [1], graph: chain(200) }]),
  ];
  // Without chains the second set's only event is scheduled before the first set's last.
  for (const fastPaths of [true, false]) {
    const done = replay(spec(2, { fastPaths }), sets);
    expect(done.map(({ iteration, finishNs }) => [iteration, finishNs])).toEqual([
      [0, 200],
      [1, 200],
    ]);
  }
});

test('a straggler takes whole nanoseconds for every node', () => {
  for (const fastPaths of [true, false]) {
    const slow = spec(1, { fastPaths, slowdown: [1.5] });
    const [done] = replay(slow, [set(0, [{ npus: [0], graph: chain(3, 3, 3) }])]);
    expect(done.finishNs).toBe(3 * 5);
  }
});

test('NPUs that disagree on a collective are told so', () => {
  const program = (type: number, sizeBytes: number): ExecutionGraph => {
    const builder = new GraphBuilder();
    collective(builder, type, sizeBytes);
    return builder.finish();
  };
  const meet = (type: number, sizeBytes: number) => () =>
    replay(spec(2), [
      set(0, [
        { npus: [0], graph: program(CollectiveType.allReduce, 4096) },
        { npus: [1], graph: program(type, sizeBytes) },
      ]),
    ]);
  const first = 'ALL_REDUCE of 4096 bytes on NPU 0';
  expect(meet(CollectiveType.allGather, 4096)).toThrow(
    'NPU 1: node 0 ("collective"): collective 0 of group [0,1] is ALL_GATHER of 4096 bytes on ' +
      `NPU 1, ${first}`,
  );
  expect(meet(CollectiveType.allReduce, 4097)).toThrow(
    `is ALL_REDUCE of 4097 bytes on NPU 1, ${first}`,
  );
});

test('communication is exposed only where nothing computes, memory only where neither goes on', () => {
  const builder = new GraphBuilder();
  compute(builder, 30_000, -1);
  const load = builder.addNode(NodeType.memLoad, 'load');
  builder.setTensorSize(load, 90_000_000);
  builder.setTensorLocation(load, 1, 0);
  builder.setCollective(builder.addNode(NodeType.commColl, 'collective'), 0, 1_048_576);
  for (const fastPaths of [true, false]) {
    const programs = [{ npus: [0, 1, 2, 3], graph: builder.finish() }];
    const [done] = replay(spec(4, { fastPaths }), [set(0, programs)]);
    // All three begin at 0; local memory moves 1000 bytes per ns.
    const times = {
      finishNs: 90_000,
      computeNs: 30_000,
      exposedCommNs: 79_540 - 30_000,
      exposedMemoryNs: 90_000 - 79_540,
    };
    for (const npu of done.npus) expect(npu).toMatchObject(times);
  }
});

test('sets released at one instant go out in order of submission', () => {
  const graphs = (size: number): Program[] => {
    const [sender, receiver] = [new GraphBuilder(), new GraphBuilder()];
    const send = sender.addNode(NodeType.commSend, 'send');
    sender.setPointToPoint(send, 0, 1, 7, size);
    const receive = receiver.addNode(NodeType.commRecv, 'receive');
    receiver.setPointToPoint(receive, 0, 1, 7, size);
    return [
      { npus: [0], graph: sender.finish() },
      { npus: [1], graph: receiver.finish() },
    ];
  };
  const dims = [{ kind: 'Ring' as const, npus: 2, bandwidthGBps: 50, latencyNs: 500 }];
  const queued = spec(2, { network: { congestion: 'aware', dims } });
  const sets = [2, 1, 3].map((megabytes, i) =>
    set(i, graphs(megabytes * 2 ** 20), { lane: i, releaseNs: 100 }),
  );
  // The link is taken in that order: the first to be submitted is done first, whatever its size.
  expect(replay(queued, sets).map(({ iteration }) => iteration)).toEqual([0, 1, 2]);
});

test('a straggler holds up the others; the time is theirs to wait', () => {
  const builder = new GraphBuilder();
  compute(builder, 1000);
  collective(builder, CollectiveType.allReduce, 1_048_576);
  const graph = builder.finish();
  const [done] = replay(spec(4, { slowdown: [1, 1, 2.5, 1] }), [
    set(0, [{ npus: [0, 1, 2, 3], graph }]),
  ]);
  expect(done.npus.map(({ computeNs }) => computeNs)).toEqual([1000, 1000, 2500, 1000]);
  expect(done.finishNs).toBe(2500 + 79_540);
});

/** A random iteration of instance `instance` on its two NPUs. */
const anySet = fc.record({
  instance: fc.integer({ min: 0, max: 1 }),
  nodes: fc.array(
    fc.record({
      kind: fc.constantFrom('compute', 'compute', 'compute', 'reduce', 'all', 'load', 'branch'),
      amount: fc.integer({ min: 0, max: 40 }),
      size: sizes,
    }),
    { minLength: 0, maxLength: 12 },
  ),
  waitNs: fc.integer({ min: 0, max: 3000 }),
  shared: fc.boolean(),
});

type AnySet = typeof anySet extends fc.Arbitrary<infer T> ? T : never;

/** Releases are what a loop would choose: from the time of the previous completion on. */
function toSet(one: AnySet, iteration: number, releaseNs: number): GraphSet {
  const npus = one.instance === 0 ? [0, 1] : [2, 3];
  const graph = (skew: number): ExecutionGraph => {
    const builder = new GraphBuilder();
    for (const { kind, amount, size } of one.nodes) {
      if (kind === 'compute') compute(builder, amount * 10 + skew);
      else if (kind === 'branch') compute(builder, amount, -1);
      else if (kind === 'load') {
        const load = builder.addNode(NodeType.memLoad, 'load');
        builder.setTensorSize(load, size);
        builder.setTensorLocation(load, 1 + (amount % 2), amount % 2);
        if (load > 0) builder.addDep(load, load - 1);
      } else if (kind === 'reduce') {
        const types = [CollectiveType.allReduce, CollectiveType.allGather, CollectiveType.allToAll];
        collective(builder, types[amount % 3], size);
      }
    }
    return builder.finish();
  };
  const programs = one.shared
    ? [{ npus, graph: graph(0) }]
    : npus.map((npu, i) => ({ npus: [npu], graph: graph(i * 3) }));
  return set(iteration, programs, { instance: one.instance, releaseNs });
}

/** All-reduces and all-gathers of pairs are measured, all-to-alls are not. */
const pairs: MachineSpec['measured'] = {
  links: [
    {
      file: 'pairs.json',
      table: {
        source: 'test',
        curves: ['all_reduce' as const, 'all_gather' as const].map((collective, i) => ({
          collective,
          participants: 2,
          size_bytes: [1024, 131_072],
          duration_ns: [2000 + i, 9000],
        })),
      },
    },
  ],
  linksOf: [0, 0, 0, 0],
  node: [0, 0, 0, 0],
  instance: [0, 0, 1, 1],
};

test('feeding live and replaying the same sets give the same completions', () => {
  const changes = fc.record({
    fastPaths: fc.boolean(),
    congestion: fc.constantFrom('aware' as const, 'unaware' as const),
    kind: fc.constantFrom('Ring' as const, 'Switch' as const, 'Mesh' as const),
    splits: fc.constantFrom(1, 3),
    measured: fc.constantFrom({}, { measured: pairs }),
  });
  fc.assert(
    fc.property(fc.array(anySet, { minLength: 1, maxLength: 12 }), changes, (plan, of) => {
      const { fastPaths, congestion, kind, splits, measured } = of;
      const dims = [{ kind, npus: 4, bandwidthGBps: linkBandwidthGBps, latencyNs: 500 }];
      const network = { congestion, dims };
      const machineSpec = spec(4, { fastPaths, splits, network, ...measured });
      const machine = createMachine(machineSpec);
      const sets: GraphSet[] = [];
      const live: Completion[] = [];
      const submit = (nowNs: number): void => {
        const one = plan[sets.length];
        if (one === undefined) return;
        const next = toSet(one, sets.length, nowNs + (one.waitNs % 3 === 0 ? 0 : one.waitNs));
        sets.push(next);
        machine.submit(next);
      };
      submit(0);
      submit(0);
      let until = 500;
      while (live.length < sets.length) {
        const completion = machine.runUntil(until);
        if (completion === undefined) {
          // An arrival: the loop may submit more at this very time.
          if (until % 2000 === 0) submit(until);
          until += 500;
          continue;
        }
        live.push(completion);
        submit(completion.finishNs);
      }
      expect(replay(machineSpec, sets)).toEqual(live);
    }),
    { seed: 3, numRuns: 150 },
  );
});

test('the fast paths equal the plain ones', () => {
  const changes = fc.record({
    splits: fc.constantFrom(1, 3),
    allReduce: fc.constantFrom('ring' as const, 'direct' as const, 'halvingDoubling' as const),
    kind: fc.constantFrom('Ring' as const, 'Switch' as const, 'FullyConnected' as const),
    measured: fc.constantFrom({}, { measured: pairs }),
  });
  fc.assert(
    fc.property(fc.array(anySet, { minLength: 1, maxLength: 8 }), changes, (plan, of) => {
      const { splits, allReduce, kind, measured } = of;
      const dims = [{ kind, npus: 4, bandwidthGBps: linkBandwidthGBps, latencyNs: 500 }];
      const machineSpec = spec(4, {
        splits,
        network: { congestion: 'unaware', dims },
        collectives: { allReduce, allGather: 'ring', reduceScatter: 'ring', allToAll: 'direct' },
        ...measured,
      });
      const sets = plan.map((one, i) => toSet(one, i, one.waitNs * i));
      const byPlace = (a: Completion, b: Completion): number => a.iteration - b.iteration;
      const fast = replay(machineSpec, sets).sort(byPlace);
      const plain = replay({ ...machineSpec, fastPaths: false }, sets).sort(byPlace);
      expect(fast).toEqual(plain);
    }),
    { seed: 4, numRuns: 150 },
  );
});
