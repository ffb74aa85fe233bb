/**
 * The machine of a cluster file. Links: one level per entry of `link_bw`, innermost the NPUs of one
 * pipeline stage, outermost everything. Every collective runs as a ring with 10 ns endpoint delay, as
 * LLMServingSim sets ASTRA-sim up, but all-to-all, which is sent directly.
 */
import type { Cluster } from '@astrolabe/config';
import type { MachineSpec } from './machine-spec.js';
import type { MemorySpec } from './memory/tiers.js';
import type { LevelSpec } from './network/topology.js';

const endpointDelayNs = 10;

export function clusterMachine(cluster: Cluster): MachineSpec {
  const { instances } = cluster;
  return {
    numNpus: cluster.numNpus,
    network: { congestion: 'unaware', levels: levels(cluster) },
    collectives: {
      allReduce: 'ring',
      allGather: 'ring',
      reduceScatter: 'ring',
      allToAll: 'direct',
    },
    splits: 1,
    activeChunks: 1,
    endpointDelayNs,
    localMemoryBandwidthGBps: Math.min(...instances.map(({ memory }) => memory.bandwidthGBps)),
    memory: memoryTiers(cluster),
  };
}

function levels(cluster: Cluster): LevelSpec[] {
  const { linkBandwidthGBps, linkLatencyNs } = cluster;
  const count = Math.max(linkBandwidthGBps.length, linkLatencyNs.length);
  return Array.from({ length: count }, (_, level) => ({
    domain: domains(cluster, level === count - 1 ? 2 : level),
    bandwidthGBps: linkBandwidthGBps[Math.min(level, linkBandwidthGBps.length - 1)],
    latencyNs: linkLatencyNs[Math.min(level, linkLatencyNs.length - 1)],
  }));
}

/** Level 0: NPUs of one pipeline stage; 1: of one instance; 2 and up: all. */
function domains(cluster: Cluster, level: number): number[] {
  const domain = new Array<number>(cluster.numNpus).fill(0);
  if (level >= 2) return domain;
  let next = 0;
  for (const { npus, tp, pp } of cluster.instances) {
    npus.forEach((npu, i) => {
      domain[npu] = next + (level === 0 ? Math.trunc(i / tp) : 0);
    });
    next += pp;
  }
  return domain;
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
