/**
 * What stock ASTRA-sim reads beside the trace, for a cluster of ours: network YAML, system JSON, memory
 * JSON, communicator groups; and one graph per NPU of one iteration, idle NPUs included, because it
 * wants a file of at least one node for each. Bandwidths GB/s, latencies ns, as in its own files.
 */
import { UserError } from '@astrolabe/base';
import {
  type ExecutionGraph,
  expandGraphSet,
  GraphBuilder,
  type GraphSet,
  NodeType,
  readStreamMetadata,
} from '@astrolabe/chakra';
import type { Cluster } from '@astrolabe/config';

/** Stock ASTRA-sim's analytical networks want at least two NPUs in every dimension. */
const stockLeastNpus = 2;

export interface AstraInputs {
  readonly numNpus: number;
  readonly networkYaml: string;
  readonly systemJson: string;
  readonly memoryJson: string;
}

/** NPUs are numbered as in the cluster; idle ones are added up to `leastNpus`. */
export function astraInputs(cluster: Cluster, leastNpus = stockLeastNpus): AstraInputs {
  const dims = dimensions(cluster, leastNpus);
  const perDim = <T>(values: readonly T[]): T[] =>
    dims.map((_, dim) => values[dim === dims.length - 1 ? values.length - 1 : 0]);
  const list = (values: readonly unknown[]): string => `[ ${values.join(', ')} ]`;
  const rings = dims.map(() => 'ring');
  const memory = cluster.instances.map(({ memory: { bandwidthGBps } }) => bandwidthGBps);
  const host = cluster.nodes[0].hostMemory;
  return {
    numNpus: dims.reduce((product, count) => product * count, 1),
    networkYaml: [
      `topology: ${list(dims.map(() => 'FullyConnected'))}`,
      `npus_count: ${list(dims)}`,
      `bandwidth: ${list(perDim(cluster.linkBandwidthGBps))}`,
      `latency: ${list(perDim(cluster.linkLatencyNs))}`,
      '',
    ].join('\n'),
    systemJson: json({
      'scheduling-policy': 'LIFO',
      'endpoint-delay': 10,
      'active-chunks-per-dimension': 1,
      'preferred-dataset-splits': 1,
      'all-reduce-implementation': rings,
      'all-gather-implementation': rings,
      'reduce-scatter-implementation': rings,
      'all-to-all-implementation': dims.map(() => 'direct'),
      'collective-optimization': 'localBWAware',
      'local-mem-bw': Math.min(...memory),
      'boost-mode': 0,
    }),
    memoryJson: json({
      'memory-type': 'PER_NPU_MEMORY_EXPANSION',
      'remote-mem-latency': host.latencyNs,
      'remote-mem-bw': host.bandwidthGBps,
    }),
  };
}

/** Innermost the NPUs of one stage where all instances are alike, else one dimension for all. */
function dimensions(cluster: Cluster, leastNpus: number): number[] {
  const { instances, numNpus } = cluster;
  const { tp } = instances[0];
  const alike = instances.every((instance) => instance.tp === tp);
  const dims = (alike ? [tp, numNpus / tp] : [numNpus]).filter((count) => count > 1);
  return dims.length === 0 ? [leastNpus] : dims;
}

/**
 * A graph for every NPU, those of the iteration and idle ones.
 * @throws UserError an iteration that needs NPUs of others, which a run of its own does not have
 */
export function astraGraphs(set: GraphSet, numNpus: number): ExecutionGraph[] {
  const graphs = new Array<ExecutionGraph>(numNpus);
  for (const graph of expandGraphSet(set)) {
    const npu = readStreamMetadata(graph.metadata).npu!;
    if (npu >= numNpus) {
      throw new UserError(`NPU ${npu}, but the network has ${numNpus}`, { at: 'astra-sim' });
    }
    graphs[npu] = graph;
  }
  for (const [name, members] of Object.entries(set.groups)) {
    const missing = members.find((npu) => graphs[npu] === undefined);
    if (missing === undefined || !names(set, name)) continue;
    throw new UserError(
      `iteration ${set.iteration} of instance ${set.instance} communicates with NPU ${missing} of ` +
        'another instance; ASTRA-sim runs one iteration at a time here',
      { at: 'astra-sim', hint: 'use --export for whole runs, or --carrier pipe' },
    );
  }
  const idle = idleGraph();
  for (let npu = 0; npu < numNpus; npu++) graphs[npu] ??= idle;
  return graphs;
}

function names(set: GraphSet, group: string): boolean {
  return set.programs.some(({ graph }) => {
    for (let node = 0; node < graph.nodeCount; node++) {
      if (graph.type[node] !== NodeType.commColl) continue;
      if (graph.strings[graph.pgName[node]] === group) return true;
    }
    return false;
  });
}

/** One node without duration: ASTRA-sim takes 1 ns for it and aborts on files without any. */
export function idleGraph(): ExecutionGraph {
  const builder = new GraphBuilder(4);
  builder.addNode(NodeType.comp, 'idle');
  return builder.finish();
}

/** `--comm-group-configuration`. */
export function commGroupsJson(groups: GraphSet['groups']): string {
  return json(groups);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** One `sys[i] finished, N cycles, exposed communication M cycles.` line. */
export interface AstraReport {
  readonly npu: number;
  readonly finishNs: number;
  readonly exposedNs: number;
}

const finishedLine =
  /sys\[(\d+)\](?: iteration \d+)? finished, (\d+) cycles, exposed communication (\d+) cycles/;

/** The report in a line of ASTRA-sim's log, if it is one. */
export function parseAstraReport(line: string): AstraReport | undefined {
  const match = finishedLine.exec(line);
  if (match === null) return undefined;
  const [npu, finishNs, exposedNs] = match.slice(1).map(Number);
  return { npu, finishNs, exposedNs };
}
