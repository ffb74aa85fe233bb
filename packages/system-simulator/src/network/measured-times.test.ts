/** Measured links on a machine, by numbers worked out by hand. Times ns, sizes bytes. */
import { CollectiveType, GraphBuilder, type GraphSet, NodeType } from '@astrolabe/chakra';
import type { SizeTable } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import type { Completion } from '../completion.js';
import { createMachine } from '../machine.js';
import { type MachineSpec, ringCollectives } from '../machine-spec.js';
import type { MeasuredSpec } from './measured-times.js';
import type { NetworkSpec } from './topology.js';

const sizes = [1000, 101_000];
const curve = (
  collective: SizeTable['curves'][number]['collective'],
  participants: number,
  times: number[],
  perNode?: number,
): SizeTable['curves'][number] => ({
  collective,
  participants,
  ...(perNode === undefined ? {} : { devices_per_node: perNode }),
  size_bytes: sizes,
  duration_ns: times,
});

const table: SizeTable = {
  source: 'test',
  curves: [
    curve('all_reduce', 4, [5000, 25_000]),
    curve('all_reduce', 2, [4000, 14_000]),
    curve('all_reduce', 2, [40_000, 140_000], 1),
    curve('send_recv', 2, [300, 10_300]),
  ],
};

/** A link of one byte per ns behind 700 ns. */
const network: NetworkSpec = {
  congestion: 'unaware',
  dims: [{ kind: 'FullyConnected', npus: 4, bandwidthGBps: 1e9 / 2 ** 30, latencyNs: 700 }],
};

/** Four NPUs on two nodes and two instances. */
function spec(
  changes: Partial<MachineSpec> = {},
  measured: Partial<MeasuredSpec> = {},
): MachineSpec {
  return {
    numNpus: 4,
    network,
    collectives: ringCollectives,
    splits: 1,
    activeChunks: 1,
    endpointDelayNs: 10,
    localMemoryBandwidthGBps: 0,
    memory: {},
    measured: {
      links: [{ file: 'links.json', table }],
      linksOf: [0, 0, 0, 0],
      node: [0, 0, 1, 1],
      instance: [0, 0, 1, 1],
      ...measured,
    },
    ...changes,
  };
}

interface Step {
  /** Compute before it. */
  readonly waitNs?: number;
  readonly collective?: number;
  readonly send?: number;
  readonly receive?: number;
  readonly bytes: number;
}

function graphOf(npu: number, { waitNs = 0, collective, send, receive, bytes }: Step) {
  const builder = new GraphBuilder();
  if (waitNs > 0) builder.setDuration(builder.addNode(NodeType.comp, 'compute'), waitNs);
  const type = send !== undefined ? NodeType.commSend : NodeType.commRecv;
  const node = builder.addNode(collective === undefined ? type : NodeType.commColl, 'step');
  if (collective !== undefined) builder.setCollective(node, collective, bytes);
  if (send !== undefined) builder.setPointToPoint(node, npu, send, 1, bytes);
  if (receive !== undefined) builder.setPointToPoint(node, receive, npu, 1, bytes);
  if (node > 0) builder.addDep(node, 0);
  return builder.finish();
}

/** A step per NPU. */
function runOn(machineSpec: MachineSpec, steps: Readonly<Record<number, Step>>) {
  const programs = Object.entries(steps).map(([npu, step]) => ({
    npus: [Number(npu)],
    graph: graphOf(Number(npu), step),
  }));
  const set: GraphSet = { instance: 0, iteration: 0, releaseNs: 0, lane: 0, groups: {}, programs };
  const machine = createMachine(machineSpec);
  machine.submit(set);
  const done = machine.runUntil(Number.MAX_SAFE_INTEGER) as Completion;
  expect(machine.stuck().lines).toEqual([]);
  return { done, counters: machine.counters() };
}

function run(machineSpec: MachineSpec, steps: Readonly<Record<number, Step>>): Completion {
  return runOn(machineSpec, steps).done;
}

const finishes = ({ npus }: Completion): number[] => npus.map(({ finishNs }) => finishNs);
const { allReduce, allGather } = CollectiveType;

describe('a measured collective', () => {
  it.each([true, false])('ends for all members at once (fast paths: %s)', (fastPaths) => {
    const reduce = { collective: allReduce, bytes: 51_000 };
    const together = run(spec({ fastPaths }), { 0: reduce, 1: reduce });
    // Half way from 4000 to 14000.
    expect(finishes(together)).toEqual([9000, 9000]);
    const late = run(spec({ fastPaths }), { 0: reduce, 1: { ...reduce, waitNs: 777 } });
    expect(finishes(late)).toEqual([9777, 9777]);
    expect(late.npus.map(({ exposedCommNs }) => exposedCommNs)).toEqual([9777, 9000]);
    // What is sent is counted as for the ring: 2 (n - 1) / n of the buffer, from either.
    expect(late.commBytes).toBe(2 * 51_000);
  });

  it.each(['unaware', 'aware'] as const)('leaves the links alone (congestion %s)', (congestion) => {
    const reduce = { collective: allReduce, bytes: 1 };
    const machineSpec = spec({ network: { ...network, congestion } });
    const { done, counters } = runOn(machineSpec, { 0: reduce, 1: reduce });
    expect(done.finishNs).toBe(4000);
    expect(counters.links.map(({ messages }) => messages).filter((count) => count > 0)).toEqual([]);
    expect(counters.npus.map(({ sentBytes }) => sentBytes)).toEqual([1, 1, 0, 0]);
  });

  it('is told by its placement', () => {
    const reduce = { collective: allReduce, bytes: 1000 };
    expect(run(spec(), { 1: reduce, 2: reduce }).finishNs).toBe(40_000);
  });

  it('counts what was measured, beyond the table, or simulated', () => {
    const count = (step: Step) => run(spec(), { 0: step, 1: step }).communications;
    const reduce = { collective: allReduce, bytes: 101_000 };
    expect(count(reduce)).toEqual({ measured: 1, beyond: 0, simulated: 0 });
    expect(count({ ...reduce, bytes: 201_000 })).toEqual({ measured: 1, beyond: 1, simulated: 0 });
    expect(count({ ...reduce, collective: allGather })).toEqual({
      measured: 0,
      beyond: 0,
      simulated: 1,
    });
    const { measured: _, ...plain } = spec();
    expect(run(plain, { 0: reduce, 1: reduce }).communications).toBeUndefined();
  });

  it('goes on linearly beyond the table', () => {
    const reduce = { collective: allReduce, bytes: 201_000 };
    expect(run(spec(), { 0: reduce, 1: reduce }).finishNs).toBe(24_000);
  });

  it('without a row of its kind runs on the network', () => {
    const gather = { collective: allGather, bytes: 1000 };
    // Two endpoints of 10 ns, one round of 1000 bytes.
    expect(run(spec(), { 0: gather, 1: gather }).finishNs).toBe(20 + 700 + 1000);
  });

  it('with unlike devices runs on the network', () => {
    const reduce = { collective: allReduce, bytes: 1000 };
    const { finishNs } = run(spec({}, { linksOf: [0, -1, 0, 0] }), { 0: reduce, 1: reduce });
    // Three endpoints, two rounds of 500 bytes.
    expect(finishNs).toBe(30 + 2 * (700 + 500));
  });

  it('of a group nobody measured is refused', () => {
    const reduce = { collective: allReduce, bytes: 1000 };
    expect(() => run(spec(), { 0: reduce, 1: reduce, 2: reduce })).toThrow(
      'links.json: no all_reduce of 3, spread unevenly, which group [0,1,2] needs',
    );
    expect(() => run(spec(), { 0: reduce, 1: reduce, 2: reduce, 3: reduce })).toThrow(
      'links.json: no all_reduce of 4, 2 a node, which group [0,1,2,3] needs',
    );
  });
});

describe('a measured message', () => {
  const bytes = 51_000;

  it.each(['unaware', 'aware'] as const)('between stages (congestion %s)', (congestion) => {
    const done = run(spec({ network: { ...network, congestion } }), {
      0: { waitNs: 50, send: 1, bytes },
      1: { receive: 0, bytes },
    });
    expect(finishes(done)).toEqual([50 + 5300, 50 + 5300]);
    expect(done.communications).toEqual({ measured: 1, beyond: 0, simulated: 0 });
    expect(done.npus[1].exposedCommNs).toBe(5300);
  });

  it('goes over the network between instances', () => {
    const done = run(spec(), { 1: { send: 2, bytes }, 2: { receive: 1, bytes } });
    expect(done.finishNs).toBe(700 + bytes);
    expect(done.communications).toEqual({ measured: 0, beyond: 0, simulated: 1 });
  });

  it('at a distance nobody measured is refused', () => {
    const apart = spec({}, { instance: [0, 0, 0, 0] });
    expect(() => run(apart, { 1: { send: 2, bytes }, 2: { receive: 1, bytes } })).toThrow(
      'links.json: no send_recv of 2, 1 a node, which group [1,2] needs',
    );
  });
});
