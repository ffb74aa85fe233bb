/** Inputs of small ASTRA-sim runs for tests: one collective or one graph on a stated machine. */
import { CollectiveType, type ExecutionGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';
import { type AstraNetwork, parseAstraSystem } from '@astrolabe/config';
import type { AstraInputs } from './inputs.js';
import { allRepairs } from './repairs.js';
import { type FastPaths, runAstra } from './run.js';
import type { AstraSimulation } from './simulation.js';

export const kinds = {
  AR: CollectiveType.allReduce,
  AG: CollectiveType.allGather,
  RS: CollectiveType.reduceScatter,
  A2A: CollectiveType.allToAll,
} as const;
export type CollectiveName = keyof typeof kinds;

/** One dimension as `[kind, NPUs, GB/s, ns]`; 50 GB/s and 500 ns if left out. */
export type Dim = readonly [AstraNetwork['topology'][number], number, number?, number?];

export function network(...dims: readonly Dim[]): AstraNetwork {
  return {
    topology: dims.map(([kind]) => kind),
    npus_count: dims.map(([, count]) => count),
    bandwidth: dims.map(([, , bandwidth]) => bandwidth ?? 50),
    latency: dims.map(([, , , latency]) => latency ?? 500),
  };
}

export function collectiveGraph(
  kind: CollectiveName,
  sizeBytes: number,
  change: (builder: GraphBuilder, node: number) => void = () => {},
): ExecutionGraph {
  const builder = new GraphBuilder();
  const node = builder.addNode(NodeType.commColl, kind);
  builder.setCollective(node, kinds[kind], sizeBytes);
  change(builder, node);
  return builder.finish();
}

export interface Options {
  readonly net: AstraNetwork;
  /** One graph for all NPUs, or one each. */
  readonly graphs: ExecutionGraph | readonly ExecutionGraph[];
  /** Implementation of all collectives, per dimension. */
  readonly how?: string | readonly string[];
  /** Keys of the system file; defaults are those of the worked examples. */
  readonly system?: Record<string, unknown>;
  readonly more?: Partial<AstraInputs>;
}

/** Endpoint delay 10, local memory 50 GB/s, one chunk, one queue, unaware, stock figures. */
export function inputsOf({ net, graphs, how = 'ring', system, more }: Options): AstraInputs {
  const numNpus = net.npus_count.reduce((product, n) => product * n, 1);
  const list = typeof how === 'string' ? net.topology.map(() => how) : how;
  const own = how === 'none' ? undefined : list;
  const file = {
    'endpoint-delay': 10,
    'local-mem-bw': 50,
    'preferred-dataset-splits': 1,
    'collective-optimization': 'localBWAware',
    'all-reduce-implementation': own,
    'all-gather-implementation': own,
    'reduce-scatter-implementation': own,
    'all-to-all-implementation': own,
    ...system,
  };
  return {
    backend: 'congestion-unaware',
    network: net,
    system: parseAstraSystem(file, 'system.json', 'compat'),
    memory: undefined,
    groups: new Map(),
    queuesPerDim: 1,
    injectionScale: 1,
    rendezvous: false,
    repairs: allRepairs(false),
    graphs: isList(graphs) ? graphs : new Array<ExecutionGraph>(numNpus).fill(graphs),
    graphName: (npu) => `${npu}.et`,
    ...more,
  };
}

function isList(
  graphs: ExecutionGraph | readonly ExecutionGraph[],
): graphs is readonly ExecutionGraph[] {
  return Array.isArray(graphs);
}

export function simulate(options: Options, fast: FastPaths = 'never'): AstraSimulation {
  return runAstra(inputsOf(options), () => ({}), fast);
}

/** Finish times per NPU. */
export function finishes(options: Options, fast: FastPaths = 'never'): number[] {
  return simulate(options, fast)
    .results()
    .map(({ finishNs }) => finishNs);
}
