/**
 * What must hold whatever the machine: bytes sent are bytes received, time never goes back, more
 * bandwidth is never slower without congestion, symmetric ranks finish together, and the shortcuts
 * (one NPU for all, rings without messages) equal the messages one by one.
 */
import { type ExecutionGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileProgram } from '../feeder/program.js';
import {
  type CollectiveName,
  collectiveGraph,
  type Dim,
  finishes,
  inputsOf,
  kinds,
  network,
  type Options,
} from './astra.test-helper.js';
import { canClose } from './closed-ring.js';
import { canFold } from './fold.js';
import { nodeRules } from './inputs.js';
import { runAstra } from './run.js';
import { AstraSimulation } from './simulation.js';

const algorithm = fc.constantFrom('ring', 'direct', 'direct2', 'halvingDoubling');
const kind = fc.constantFrom<CollectiveName>('AR', 'AG', 'RS', 'A2A');
const dims = fc.array(
  fc.tuple(
    fc.constantFrom('Ring' as const, 'FullyConnected' as const, 'Switch' as const),
    fc.constantFrom(2, 4, 8),
    fc.constantFrom(20, 50, 400),
    fc.constantFrom(0, 100, 936.25),
  ),
  { minLength: 1, maxLength: 3 },
);

const machine = fc
  .record({
    dims,
    algorithm,
    kind,
    sizeBytes: fc.constantFrom(4096, 65_537, 1_048_576),
    splits: fc.constantFrom(1, 3, 4),
    active: fc.constantFrom(1, 2, 4),
    queues: fc.constantFrom(1, 2, 3),
    memory: fc.constantFrom(0, 50, 1600),
    localBwAware: fc.boolean(),
    aware: fc.boolean(),
  })
  .filter(({ kind, algorithm }) => kind !== 'A2A' || algorithm !== 'halvingDoubling')
  .filter(({ dims }) => dims.reduce((product, [, count]) => product * count, 1) <= 64);

interface AnyMachine {
  readonly dims: readonly Dim[];
  readonly algorithm: string;
  readonly kind: CollectiveName;
  readonly sizeBytes: number;
  readonly splits: number;
  readonly active: number;
  readonly queues: number;
  readonly memory: number;
  readonly localBwAware: boolean;
  readonly aware: boolean;
}

function options(of: AnyMachine, graphs?: ExecutionGraph | ExecutionGraph[]): Options {
  const congested = of.aware && of.dims.length === 1;
  return {
    net: network(...of.dims),
    graphs: graphs ?? collectiveGraph(of.kind, of.sizeBytes),
    how: of.algorithm,
    system: {
      'preferred-dataset-splits': of.splits,
      'active-chunks-per-dimension': of.active,
      'local-mem-bw': of.memory,
      'collective-optimization': of.localBwAware ? 'localBWAware' : 'baseline',
    },
    more: {
      backend: congested ? 'congestion-aware' : 'congestion-unaware',
      queuesPerDim: of.queues,
    },
  };
}

test('every byte sent is received once, and time never goes back', () => {
  fc.assert(
    fc.property(machine, (of) => {
      const open = new Map<string, number>();
      let sent = 0;
      let arrived = 0;
      let lastNs = 0;
      let backwards = 0;
      const simulation = runAstra(inputsOf(options(of)), () => ({
        onMessage: (event, timeNs, src, dst, tag, bytes) => {
          if (timeNs < lastNs) backwards++;
          lastNs = timeNs;
          const key = `${tag}/${src}/${dst}/${bytes}`;
          const change = event === 'R' ? -1 : event === 'S' ? 1 : 0;
          open.set(key, (open.get(key) ?? 0) + change);
          if (event === 'S') sent += bytes;
          if (event === 'A') arrived += bytes;
        },
      }));
      expect(backwards).toBe(0);
      // Unequal phases may lock chunks out of each other's queues; what was sent arrives all the same.
      expect(arrived).toBe(sent);
      if (simulation.unfinished().length > 0) return;
      expect([...open.values()].every((count) => count === 0)).toBe(true);
      expect(simulation.counters().npus.reduce((sum, npu) => sum + npu.sentBytes, 0)).toBe(sent);
    }),
    { seed: 11, numRuns: 80 },
  );
});

test('without congestion more bandwidth is never slower', () => {
  fc.assert(
    fc.property(machine, fc.integer({ min: 0, max: 2 }), (of, faster) => {
      // One chunk at a time per NPU: with more, a faster dimension may reorder what queues for others.
      const alone = { ...of, aware: false, splits: 1 };
      const wider = alone.dims.map(([shape, count, bandwidth, latency], d) =>
        d === faster
          ? ([shape, count, bandwidth * 2, latency] as const)
          : ([shape, count, bandwidth, latency] as const),
      );
      const before = finishes(options(alone));
      const after = finishes({ ...options(alone), net: network(...wider) });
      for (const [npu, time] of after.entries()) expect(time).toBeLessThanOrEqual(before[npu]);
    }),
    { seed: 12, numRuns: 120 },
  );
});

test('symmetric ranks finish together', () => {
  fc.assert(
    fc.property(machine, (of) => {
      const times = finishes(options({ ...of, aware: false }));
      expect(new Set(times).size).toBe(1);
    }),
    { seed: 13, numRuns: 120 },
  );
});

/** Compute and collectives one after another; `skew` makes ranks differ. */
function chain(of: AnyMachine, skew: number): ExecutionGraph {
  const builder = new GraphBuilder();
  for (let i = 0; i < 4; i++) {
    const compute = builder.addNode(NodeType.comp, 'gemm');
    builder.setDuration(compute, 1000 * (1 + ((i * 7 + skew * 3) % 5)));
    if (compute > 0) builder.addDep(compute, compute - 1);
    const node = builder.addNode(NodeType.commColl, 'collective');
    builder.setCollective(node, kinds[i % 2 === 0 ? of.kind : 'AR'], of.sizeBytes);
    builder.addDep(node, compute);
  }
  return builder.finish();
}

test('one NPU that stands for all finishes when all do', () => {
  let folded = 0;
  fc.assert(
    fc.property(machine, (of) => {
      const inputs = inputsOf(options(of, chain(of, 0)));
      if (!canFold(inputs, compileProgram(inputs.graphs[0], nodeRules(inputs), 'x'))) return;
      const short = new AstraSimulation(inputs, 'folded');
      short.run();
      const long = new AstraSimulation(inputs);
      long.run();
      if (long.unfinished().length > 0) return;
      expect(short.results()).toEqual(long.results());
      expect(short.counters().npus).toEqual(long.counters().npus);
      folded++;
    }),
    { seed: 14, numRuns: 120 },
  );
  expect(folded).toBeGreaterThan(60);
});

test('rings without messages end when those with messages do, on ranks that differ', () => {
  let closed = 0;
  fc.assert(
    fc.property(machine, (of) => {
      const ring = { ...of, dims: of.dims.slice(0, 1), algorithm: 'ring', queues: 1 };
      const count = ring.dims[0][1];
      const graphs = Array.from({ length: count }, (_, npu) => chain(ring, npu));
      const inputs = inputsOf(options(ring, graphs));
      const programs = graphs.map((graph) => compileProgram(graph, nodeRules(inputs), 'x'));
      if (!canClose(inputs, programs)) return;
      const short = new AstraSimulation(inputs, 'closed');
      short.run();
      const long = new AstraSimulation(inputs);
      long.run();
      expect(short.results()).toEqual(long.results());
      closed++;
    }),
    { seed: 15, numRuns: 120 },
  );
  expect(closed).toBeGreaterThan(60);
});
