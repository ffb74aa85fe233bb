/**
 * The machine of a cluster file; its links are cluster-network.ts. Every collective runs as a ring with
 * 10 ns endpoint delay, as LLMServingSim sets ASTRA-sim up, but all-to-all, which is sent directly.
 * Where the file names measured links, their times take the place of both.
 */
import { type Cluster, measuredLinksOf, npuHardware, npuMemory } from '@astrolabe/config';
import { clusterNetwork } from './cluster-network.js';
import { type MachineSpec, ringCollectives } from './machine-spec.js';
import type { MemorySpec } from './memory/tiers.js';
import type { MeasuredSpec } from './network/measured-times.js';

/** ASTRA-sim's default. */
const endpointDelayNs = 10;

/** The machine of a cluster file: NPUs as `resolveCluster` numbers them. */
export function clusterMachine(cluster: Cluster): MachineSpec {
  return {
    numNpus: cluster.numNpus,
    network: clusterNetwork(cluster),
    collectives: ringCollectives,
    splits: 1,
    activeChunks: 1,
    endpointDelayNs,
    ...localMemory(cluster),
    memory: memoryTiers(cluster),
    ...(cluster.measuredLinks === undefined ? {} : { measured: measuredSpec(cluster) }),
  };
}

/** Reductions run at the speed of an NPU's own memory. */
function localMemory({
  instances,
}: Cluster): Pick<MachineSpec, 'localMemoryBandwidthGBps' | 'localMemoryOfNpuGBps'> {
  const own = instances.flatMap(npuMemory).map(({ bandwidthGBps }) => bandwidthGBps);
  const least = Math.min(...own);
  const alike = own.every((bandwidth) => bandwidth === least);
  return {
    localMemoryBandwidthGBps: least,
    ...(alike ? {} : { localMemoryOfNpuGBps: own }),
  };
}

function measuredSpec({ instances, numNpus, measuredLinks: links = [] }: Cluster): MeasuredSpec {
  const none = (): number[] => new Array<number>(numNpus).fill(-1);
  const spec = { links, linksOf: none(), node: none(), instance: none() };
  for (const instance of instances) {
    const npus = [...instance.npus, ...(instance.ffn?.npus ?? [])];
    npuHardware(instance).forEach((hardware, i) => {
      spec.linksOf[npus[i]] = measuredLinksOf(links, hardware);
      spec.node[npus[i]] = instance.node;
      spec.instance[npus[i]] = instance.index;
    });
  }
  return spec;
}

function memoryTiers(cluster: Cluster): MemorySpec {
  const { instances, nodes, cxl } = cluster;
  return {
    local: {
      latencyNs: instances[0].memory.latencyNs,
      bandwidthGBps: instances[0].memory.bandwidthGBps,
      contention: 'none',
      numDevices: cluster.numNpus,
    },
    remote: {
      latencyNs: nodes.map(({ hostMemory }) => hostMemory.latencyNs),
      bandwidthGBps: nodes.map(({ hostMemory }) => hostMemory.bandwidthGBps),
      contention: 'device',
      numDevices: nodes.length,
      linkBandwidthGBps: nodes.map(({ hostLinkGBps }) => hostLinkGBps),
      // The channels of a node work on one layer together: a graph's PIM node is the busiest.
      ...(nodes.some(({ pim }) => pim !== undefined) ? { pimChannels: 1 } : {}),
    },
    ...(nodes.every(({ storage }) => storage === undefined)
      ? {}
      : {
          storage: {
            latencyNs: nodes.map(({ storage }) => storage?.latencyNs ?? 0),
            bandwidthGBps: nodes.map(({ storage }) => storage?.bandwidthGBps ?? 0),
            contention: 'device',
            numDevices: nodes.length,
          },
        }),
    ...(cxl === undefined
      ? {}
      : {
          cxl: {
            latencyNs: cxl.latencyNs,
            bandwidthGBps: cxl.bandwidthGBps,
            contention: 'device',
            numDevices: cxl.numDevices,
          },
        }),
  };
}
