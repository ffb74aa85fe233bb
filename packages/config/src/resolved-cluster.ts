/** The cluster as everybody but its file sees it: nodes, and instances with their devices and engines. */
import type { PlacementFile, PowerFile } from './cluster.js';
import type { EngineOptions } from './engine.js';
import type { ExpertOptions } from './experts.js';
import type { KvTransferOptions, TopologyFile } from './interconnect.js';
import type { KvGroups } from './kv-groups.js';
import type { KvTierFile } from './kv-tiers.js';
import type { MeasuredLinks } from './measured-links.js';
import type { ModelShape } from './model.js';
import type { PimMemory } from './pim.js';

export type InstanceRole = 'colocated' | 'prefill' | 'decode';

export interface Instance {
  readonly index: number;
  readonly name: string;
  /** Its place in the cluster file, for messages. */
  readonly place: string;
  readonly node: number;
  readonly model: ModelShape;
  readonly hardware: string;
  readonly role: InstanceRole;
  readonly tp: number;
  readonly pp: number;
  /** Expert-parallel degree over the whole DP group; 1 when experts are not distributed. */
  readonly ep: number;
  readonly dpGroup: string | undefined;
  /** Length tp * pp; `npus[stage * tp + rank]`. */
  readonly npus: readonly number[];
  readonly memory: DeviceMemory;
  readonly engine: EngineOptions;
  readonly placement: PlacementFile | undefined;
  /** Speed relative to other instances, for weighted routing. */
  readonly routerWeight?: number;
  /** Of each of its devices, in the user's currency; absent in all instances: no prices. */
  readonly deviceCostPerHour?: number;
  /** Weights off the device are fetched so many layers ahead; absent: 1. */
  readonly weightPrefetchLayers?: number;
  /** Device of every pipeline stage; absent: `hardware`. */
  readonly stageHardware?: readonly string[];
  /** Memory of every pipeline stage's devices; absent: `memory`. */
  readonly stageMemory?: readonly DeviceMemory[];
  /** Devices of the feed-forward blocks; absent: they run with attention. */
  readonly ffn?: FfnPool;
  /** Groups of layers that attend alike; absent: a block holds all layers of a stage. */
  readonly kvGroups?: KvGroups;
  /** Ranks that hold a slice each of the same experts; absent: 1, or with `ep` 1 those of TP. */
  readonly expertSlices?: number;
  /** Absent: all defaults. */
  readonly experts?: ExpertOptions;
}

export interface FfnPool {
  readonly hardware: string;
  readonly tp: number;
  /** Length tp. */
  readonly npus: readonly number[];
  readonly memory: DeviceMemory;
  readonly microBatches: number;
}

export interface DeviceMemory {
  /** What the device reports, else the file's GiB. */
  readonly sizeBytes: number;
  readonly bandwidthGBps: number;
  readonly latencyNs: number;
  readonly utilization: number;
}

export interface ClusterNode {
  readonly index: number;
  /** Its place in the cluster file, for messages. */
  readonly place: string;
  readonly hostMemory: { sizeBytes: number; bandwidthGBps: number; latencyNs: number };
  /** Between each device and host memory, each way. */
  readonly hostLinkGBps: number;
  /** GB/s of 2^30 between devices of the node; absent: as the cluster's links. */
  readonly linkGBps?: number;
  readonly power: PowerFile | undefined;
  /** Only when an instance of the node uses it; then it is the host memory. */
  readonly pim?: PimMemory;
  readonly storage?: { sizeBytes: number; bandwidthGBps: number; latencyNs: number };
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly instances: readonly Instance[];
  readonly numNpus: number;
  /** GB/s of 2^30 bytes, one entry per dimension given. */
  readonly linkBandwidthGBps: readonly number[];
  readonly linkLatencyNs: readonly number[];
  /** Both are a data sheet's, whatever they are. */
  readonly linkIsNominal?: boolean;
  readonly cxl:
    | { sizeBytes: number; bandwidthGBps: number; latencyNs: number; numDevices: number }
    | undefined;
  /** KV below the device, nearest first; absent: none. */
  readonly kvTiers?: readonly KvTierFile[];
  /** Where they were given, for messages. */
  readonly kvTiersPlace?: string;
  /** Absent: every pair of devices is `linkBandwidthGBps` apart. */
  readonly topology?: TopologyFile;
  /** Absent: collectives and messages all go over the links. */
  readonly measuredLinks?: readonly MeasuredLinks[];
  /** Absent: `defaultKvTransfer`. */
  readonly kvTransfer?: KvTransferOptions;
}

/** Memory of each device of a pipeline stage. */
export function memoryOfStage({ memory, stageMemory }: Instance, stage: number): DeviceMemory {
  return stageMemory?.[stage] ?? memory;
}

/** Memory of every NPU of the instance: stages in order, then feed-forward devices. */
export function npuMemory(instance: Instance): DeviceMemory[] {
  const { npus, tp, ffn } = instance;
  const own = npus.map((_, i) => memoryOfStage(instance, Math.trunc(i / tp)));
  return [...own, ...(ffn?.npus.map(() => ffn.memory) ?? [])];
}
