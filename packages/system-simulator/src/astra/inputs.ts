/** What an ASTRA-sim run is given, and what its layers take from it. Times ns, sizes bytes. */
import { UserError } from '@astrolabe/base';
import { Attr, type ExecutionGraph } from '@astrolabe/chakra';
import type { AstraMemory, AstraNetwork, AstraSystem } from '@astrolabe/config';
import type { Transport } from '../core.js';
import type { NodeRules } from '../feeder/program.js';
import type { DimensionSpec, NetworkSpec } from '../network/topology.js';
import type { Repairs } from './repairs.js';

export type AstraBackend = 'congestion-unaware' | 'congestion-aware';

export interface AstraInputs {
  readonly backend: AstraBackend;
  readonly network: AstraNetwork;
  readonly system: AstraSystem;
  readonly memory: AstraMemory | undefined;
  readonly groups: ReadonlyMap<number, readonly number[]>;
  /** Groups by names that are no numbers, which only the traces themselves define. */
  readonly groupNumbers?: ReadonlyMap<string, number>;
  readonly queuesPerDim: number;
  readonly injectionScale: number;
  readonly rendezvous: boolean;
  readonly repairs: Repairs;
  /** Graph of each NPU; NPUs that share one share the object. */
  readonly graphs: readonly ExecutionGraph[];
  /** Names an NPU's graph in errors. */
  readonly graphName: (npu: number) => string;
  /** Algorithm of a custom collective: the trace of one rank. */
  readonly customGraph?: (prefix: string, rank: number) => ExecutionGraph;
  /** Factor on compute durations per NPU: 2 = half as fast. */
  readonly slowdown?: readonly number[];
  /** Path prefixes of custom collectives by node id. */
  readonly perNodeCustom?: ReadonlyMap<number, string>;
}

export function networkSpec(inputs: AstraInputs): NetworkSpec & { dims: readonly DimensionSpec[] } {
  const { network, repairs } = inputs;
  return {
    congestion: inputs.backend === 'congestion-aware' ? 'aware' : 'unaware',
    dims: dimensionsOf(network),
    routing: repairs.routeAllDims ? 'all' : 'first',
    cutThrough: repairs.cutThroughSwitch,
    ...(network.links === undefined ? {} : { links: network.links }),
  };
}

export function dimensionsOf(network: AstraNetwork): DimensionSpec[] {
  return network.topology.map((kind, d) => ({
    kind,
    npus: network.npus_count[d],
    bandwidthGBps: network.bandwidth[d],
    latencyNs: network.latency[d],
  }));
}

/** Of a system file that states none, ns. */
const defaultEndpointNs = 10;

export function statedEndpointDelay({ endpointDelayNs }: AstraSystem): number {
  return Math.trunc(endpointDelayNs ?? defaultEndpointNs);
}

/** The scale applies only to a delay that the system file states. */
export function endpointDelay({ system, injectionScale }: AstraInputs): number {
  const statedNs = statedEndpointDelay(system);
  return system.endpointDelayNs === undefined ? statedNs : Math.trunc(statedNs * injectionScale);
}

export function nodeRules({ system, repairs }: AstraInputs): NodeRules {
  return {
    replayOnly: system.replayOnly,
    emptyDurationNs: 1,
    memorySlot: 'comm',
    ctrlDeps: true,
    refuseCycles: repairs.wakeAfterSkip,
    dimensions: true,
    ...(system.roofline
      ? {
          roofline: {
            bytesPerSecond: system.localMemoryBandwidthGBps * 1e9,
            opsPerSecond: system.peakTflops * 1e12,
          },
        }
      : {}),
  };
}

/** Dimensions of a collective that names none. */
const defaultDims = 4;

/** Whether a collective goes over a dimension: as `involved_dim` says, all of the first four without it. */
export function involvedDims(graph: ExecutionGraph, row: number): (dim: number) => boolean {
  if ((graph.present[row] & Attr.involvedDim) === 0) return (dim) => dim < defaultDims;
  const dims = graph.involvedDims[row];
  const count = graph.involvedDimCount[row];
  return (dim) => dim < count && ((dims >> dim) & 1) === 1;
}

/** 0 = all NPUs. */
export function groupNumber(
  graph: ExecutionGraph,
  row: number,
  at: string,
  named?: ReadonlyMap<string, number>,
): number {
  if ((graph.present[row] & Attr.pgName) === 0) {
    const misread = graph.extra.get(row)?.find(({ name }) => name === 'pg_name');
    if (misread !== undefined) throw new UserError('attribute pg_name must be a string', { at });
    return 0;
  }
  const name = graph.strings[graph.pgName[row]];
  if (name === '' || name === '0') return 0;
  const id = named?.get(name) ?? Number.parseInt(name, 10);
  if (Number.isNaN(id)) throw new UserError(`pg_name "${name}" is not a number`, { at });
  return id;
}

/** Collectives' messages are never empty and never go to their sender. */
export function checkedTransport(
  transport: Transport,
  backend: AstraBackend,
  network: AstraNetwork,
): Transport {
  const selfWorks = backend === 'congestion-aware' && network.topology[0] === 'Switch';
  return {
    send(src, dst, tag, sizeBytes, kind, arg) {
      if (sizeBytes <= 0) {
        throw new UserError(`a collective sends a message of 0 bytes from NPU ${src} to ${dst}`, {
          hint: 'its data is too small for its algorithm and number of NPUs',
        });
      }
      if (src === dst && !selfWorks) {
        throw new UserError(`a collective sends a message from NPU ${src} to itself`);
      }
      return transport.send(src, dst, tag, sizeBytes, kind, arg);
    },
    receive: (src, dst, tag, sizeBytes, kind, arg) =>
      transport.receive(src, dst, tag, sizeBytes, kind, arg),
  };
}
