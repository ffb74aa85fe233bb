/**
 * Folding with congestion gives the completions and counters of the plain way to the byte, whatever
 * comes in between: random graphs with times of a few ns, so that much happens at one instant, on
 * lanes that share NPUs and links.
 */
import { bytesPerGiB, nsPerS, UserError } from '@astrolabe/base';
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
import { createMachine } from './machine.js';
import { collective, compute, set, spec } from './machine.test-helper.js';
import type { MachineSpec } from './machine-spec.js';
import type { LevelSpec } from './network/topology.js';

/** GB/s of 2^30 that give a byte per ns. */
const bandwidthGBps = nsPerS / bytesPerGiB;
const groups = { a: [0, 1], b: [2, 3], all: [0, 1, 2, 3], three: [3, 1, 2] } as const;
type GroupName = keyof typeof groups;

const types = [
  CollectiveType.allReduce,
  CollectiveType.allGather,
  CollectiveType.allToAll,
  CollectiveType.reduceScatter,
];

const chained = ['compute', 'collective', 'compute', 'collective'] as const;
const anyNode = fc.record({
  kind: fc.constantFrom(...chained, ...chained, ...chained, 'beside'),
  ns: fc.integer({ min: 0, max: 6 }),
  type: fc.constantFrom(...types),
  size: fc.constantFrom(0, 1, 4, 6, 12),
});

const anyStep = fc.record({
  kind: fc.constantFrom('step', 'step', 'step', 'step', 'send', 'load', 'apart'),
  group: fc.constantFrom<GroupName>('a', 'a', 'b', 'b', 'all', 'three'),
  lane: fc.constantFrom(0, 0, 0, 0, 1),
  nodes: fc.array(anyNode, { minLength: 1, maxLength: 6 }),
  from: fc.integer({ min: 0, max: 3 }),
  hops: fc.integer({ min: 1, max: 3 }),
  /** When it is handed in and released, ns after the one before; -1: at the next completion. */
  afterNs: fc.constantFrom(-1, -1, 0, 0, 1, 3, 10, 40),
  laterNs: fc.constantFrom(0, 0, 0, 2, 9),
  asks: fc.boolean(),
});
/** Steps of two groups beside each other, and now and then something else. */
const calmStep = fc.tuple(anyStep, fc.integer({ min: 0, max: 9 })).map(([step, other]): Step => {
  if (other === 0) return step;
  const group = other % 2 === 0 ? 'a' : 'b';
  return { ...step, kind: 'step', group, lane: 0, asks: step.asks && other === 1 };
});
/** Steps of two groups, and data on its way between memories beside them. */
const movingStep = fc.tuple(anyStep, fc.integer({ min: 0, max: 19 })).map(([step, other]): Step => {
  if (other === 0) return step;
  if (other < 8) return { ...step, kind: 'load', lane: 1, asks: false };
  return { ...step, kind: 'step', group: other % 2 === 0 ? 'a' : 'b', lane: 0, asks: other === 8 };
});
const anyPlan = fc.oneof(
  fc.array(movingStep, { minLength: 4, maxLength: 16 }),
  fc.array(anyStep, { minLength: 1, maxLength: 12 }),
  fc.array(calmStep, { minLength: 4, maxLength: 16 }),
);
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

function graphOf({ nodes, group }: Step, skewNs: number): ExecutionGraph {
  const builder = new GraphBuilder();
  for (const { kind, ns, type, size } of nodes) {
    if (kind === 'compute') compute(builder, ns + skewNs);
    else if (kind === 'beside') compute(builder, ns, -1);
    else collective(builder, type, size, group);
  }
  return builder.finish();
}

/** A send with its receive, some computing before and after each. */
function message({ from, hops, nodes }: Step): Program[] {
  const to = (from + hops) % 4;
  return [from, to].map((npu) => {
    const builder = new GraphBuilder();
    for (const { ns, size } of nodes) {
      compute(builder, ns);
      const type = npu === from ? NodeType.commSend : NodeType.commRecv;
      const node = builder.addNode(type, 'message');
      builder.setPointToPoint(node, from, to, 1, size + 1);
      builder.addDep(node, node - 1);
    }
    return { npus: [npu], graph: builder.finish() };
  });
}

function load({ from, nodes }: Step): Program[] {
  const builder = new GraphBuilder();
  for (const { ns, size } of nodes) {
    const node = builder.addNode(NodeType.memLoad, 'load');
    builder.setTensorSize(node, size * 50);
    builder.setTensorLocation(node, 1 + (ns % 2), ns % 2);
    if (node > 0) builder.addDep(node, node - 1);
  }
  return [{ npus: [from], graph: builder.finish() }];
}

function programsOf(step: Step): Program[] {
  const npus = [...groups[step.group]];
  if (step.kind === 'send') return message(step);
  if (step.kind === 'load') return load(step);
  if (step.kind === 'step') return [{ npus, graph: graphOf(step, 0) }];
  return npus.map((npu, i) => ({ npus: [npu], graph: graphOf(step, i) }));
}

/** Everything that a caller sees, as it sees it; lanes may disagree on a collective, which ends it. */
function log(machineSpec: MachineSpec, steps: readonly Step[]): string[] {
  const seen: string[] = [];
  try {
    run(machineSpec, steps, seen);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    seen.push(error.message);
  }
  return seen;
}

function run(machineSpec: MachineSpec, steps: readonly Step[], seen: string[]): void {
  const machine = createMachine(machineSpec);
  let nowNs = 0;
  let open = 0;
  const runTo = (untilNs: number, onlyOne: boolean): void => {
    for (;;) {
      const done = machine.runUntil(untilNs);
      if (done === undefined) return;
      open--;
      nowNs = Math.max(nowNs, done.finishNs);
      seen.push(JSON.stringify(done));
      if (onlyOne) return;
    }
  };
  steps.forEach((step, iteration) => {
    if (step.afterNs < 0) {
      if (open > 0) runTo(Number.POSITIVE_INFINITY, true);
    } else {
      nowNs += step.afterNs;
      runTo(nowNs, false);
    }
    if (step.asks) seen.push(JSON.stringify(machine.counters().links));
    const { lane } = step;
    const releaseNs = nowNs + step.laterNs;
    const one: GraphSet = set(iteration, programsOf(step), { lane, releaseNs, groups });
    machine.submit(one);
    open++;
  });
  runTo(Number.POSITIVE_INFINITY, false);
  seen.push(JSON.stringify(machine.counters()), ...machine.stuck().lines);
}

const every = (domain: number[], more: Partial<LevelSpec> = {}): LevelSpec => ({
  domain,
  bandwidthGBps,
  latencyNs: 1,
  ...more,
});
/** Stands for a network of dimensions, whose links are shared by the NPUs on the way. */
const ring: readonly LevelSpec[] = [];
const dims = [{ kind: 'Ring', npus: 4, bandwidthGBps, latencyNs: 1 }] as const;
const networks: readonly (readonly LevelSpec[])[] = [
  [every([0, 0, 0, 0])],
  [every([0, 0, 0, 0], { latencyNs: 0 })],
  [
    every([0, 0, 1, 1], { latencyNs: 2 }),
    every([0, 0, 0, 0], { bandwidthGBps: bandwidthGBps / 2 }),
  ],
  [every([0, 0, 1, 1]), every([0, 0, 0, 0], { port: [0, 0, 1, 1] })],
  [every([0, 0, 0, 0], { port: [0, 1, 0, 1] })],
  ring,
];

/** The end of a collective and of what computes beside it fall on one instant: their order counts. */
const besides: Step = {
  kind: 'step',
  group: 'a',
  lane: 0,
  nodes: [
    { kind: 'collective', ns: 0, type: CollectiveType.reduceScatter, size: 4 },
    { kind: 'compute', ns: 0, type: 0, size: 0 },
    { kind: 'collective', ns: 0, type: CollectiveType.allReduce, size: 4 },
    { kind: 'beside', ns: 3, type: 0, size: 0 },
    { kind: 'compute', ns: 1, type: 0, size: 0 },
  ],
  from: 0,
  hops: 1,
  afterNs: -1,
  laterNs: 0,
  asks: false,
};
const { memory } = spec(4);
/** Whose accesses last as long as messages do, and end when these do; and with links of their own. */
const short = { latencyNs: 1, bandwidthGBps: 50, contention: 'device', numDevices: 2 } as const;
const memories = [
  memory,
  { ...memory, remote: short },
  { local: short, remote: { ...short, latencyNs: 0, linkBandwidthGBps: 40 } },
];
const bare = {
  endpointDelayNs: 0,
  splits: 1,
  localMemoryBandwidthGBps: 0,
  slowdown: undefined,
  memory,
} as const;

test('folded and plain runs with congestion are the same to whoever watches', () => {
  const machines = fc.record({
    levels: fc.constantFrom(...networks),
    endpointDelayNs: fc.constantFrom(0, 1, 10),
    splits: fc.constantFrom(1, 1, 1, 2),
    localMemoryBandwidthGBps: fc.constantFrom(0, 1),
    slowdown: fc.constantFrom(undefined, undefined, [1, 2, 1, 1], [2, 2, 1, 1]),
    memory: fc.constantFrom(...memories),
  });
  fc.assert(
    fc.property(machines, anyPlan, (of, steps) => {
      const { levels, slowdown, ...more } = of;
      const network = {
        congestion: 'aware',
        ...(levels === ring ? { dims } : { levels }),
      } as const;
      const changes = slowdown === undefined ? more : { ...more, slowdown };
      const machineSpec = spec(4, { network, ...changes });
      const plain = log({ ...machineSpec, fastPaths: false }, steps);
      expect(log(machineSpec, steps)).toEqual(plain);
    }),
    { seed: 9, numRuns: 3000, examples: [[{ levels: networks[0], ...bare }, [besides]]] },
  );
});
