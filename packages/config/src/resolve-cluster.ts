/**
 * From the cluster file to the cluster: parallel degrees decided, NPU ids given out, models found,
 * engine options merged. NPUs are numbered instance by instance, within one instance
 * `stage * tp + rank`.
 */
import { askedBy, bytesPerGiB, parseWith, UserError } from '@astrolabe/base';
import { type ClusterFile, clusterFileSchema, type InstanceFile } from './cluster.js';
import {
  deviceEngine,
  type EngineOptions,
  type EngineOverrides,
  engineOverridesOf,
  limitEngine,
  resolveEngine,
} from './engine.js';
import { checkExpertRanks, withExpertSlices } from './expert-ranks.js';
import { withKvGroups } from './kv-groups.js';
import type { KvTierFile } from './kv-tiers.js';
import { resolveMeasuredLinks } from './measured-links.js';
import type { ModelShape } from './model.js';
import { checkOffDevice } from './off-device-memory.js';
import { type PimDevice, pimMemory } from './pim.js';
import { checkPrices } from './prices.js';
import type { Cluster, ClusterNode, DeviceMemory, FfnPool, Instance } from './resolved-cluster.js';
import type { SizeTable } from './size-table.js';

export interface ResolveOptions {
  /** Finds a model by name; throws a UserError when there is none. */
  readonly findModel: (name: string) => ModelShape;
  /** Options from the command line: they win over the file. */
  readonly flags?: EngineOverrides;
  /** Finds a PIM device by name; throws a UserError when there is none. */
  readonly findPim?: (name: string) => PimDevice;
  /** Reads a size table by the name in the file; throws a UserError when there is none. */
  readonly readSizeTable?: (file: string) => SizeTable;
  /** KV tiers from the command line replace the file's. */
  readonly kvTiers?: readonly KvTierFile[] | undefined;
  readonly memoryUtilization?: number;
  readonly deviceMemoryBytes?: number;
}

/** @throws UserError with file and JSON path */
export function resolveCluster(value: unknown, at: string, options: ResolveOptions): Cluster {
  const file = parseWith(clusterFileSchema, value, at);
  checkCounts(file, at);
  const kvTiers =
    tiersOf('--kv-tier', options.kvTiers) ?? tiersOf(`${at}: kv_tiers`, file.kv_tiers);
  const { instances: plain, numNpus } = resolveInstances(file, at, options);
  const instances = withKvGroups(plain, kvTiers?.kvTiers !== undefined);
  const cxl =
    file.cxl_mem === undefined
      ? undefined
      : { ...memoryOf(file.cxl_mem), numDevices: file.cxl_mem.num_devices };
  const nodes = file.nodes.map((node, index) => ({
    index,
    place: `${at}: nodes[${index}]`,
    ...hostMemory(node, instances, index, at, options),
    hostLinkGBps: node.host_link_bw,
    ...(node.link_bw === undefined ? {} : { linkGBps: node.link_bw }),
    power: node.power,
    ...(node.storage === undefined ? {} : { storage: memoryOf(node.storage) }),
  }));
  for (const instance of instances) {
    checkOffDevice(instance, instances, nodes[instance.node], cxl?.sizeBytes);
  }
  return {
    nodes,
    instances,
    numNpus,
    linkBandwidthGBps: [file.link_bw].flat(),
    linkLatencyNs: [file.link_latency].flat(),
    ...(file.link_nominal === true ? { linkIsNominal: true } : {}),
    ...(file.topology === undefined ? {} : { topology: file.topology }),
    ...(file.measured_links === undefined
      ? {}
      : {
          measuredLinks: resolveMeasuredLinks(
            file.measured_links,
            instances,
            at,
            options.readSizeTable,
          ),
        }),
    ...(file.kv_transfer === undefined ? {} : { kvTransfer: file.kv_transfer }),
    cxl,
    ...kvTiers,
  };
}

function resolveInstances(
  file: ClusterFile,
  at: string,
  options: ResolveOptions,
): Pick<Cluster, 'instances' | 'numNpus'> {
  const instances: Instance[] = [];
  let numNpus = 0;
  file.nodes.forEach((node, nodeIndex) => {
    node.instances.forEach((entry, i) => {
      const place = `${at}: nodes[${nodeIndex}].instances[${i}]`;
      const instance = resolveInstance(entry, place, nodeIndex, instances.length, numNpus, options);
      numNpus += instance.npus.length + (instance.ffn?.npus.length ?? 0);
      const twin = instances.findIndex(({ name }) => name === instance.name);
      if (twin >= 0) {
        throw new UserError(
          `${instance.name} is what instance ${twin} is called: results go by it`,
          {
            at: `${place}.name`,
          },
        );
      }
      instances.push(instance);
    });
  });
  checkPrices(instances);
  return { instances: withExpertSlices(instances), numNpus };
}

interface MemoryFile {
  readonly mem_size: number;
  readonly mem_bw: number;
  readonly mem_latency: number;
}

function memoryOf(memory: MemoryFile): ClusterNode['hostMemory'] {
  return {
    sizeBytes: memory.mem_size * bytesPerGiB,
    bandwidthGBps: memory.mem_bw,
    latencyNs: memory.mem_latency,
  };
}

/** Of a node whose memory computes, size, bandwidth and latency are those of its channels. */
function hostMemory(
  { cpu_mem: memory }: ClusterFile['nodes'][number],
  instances: readonly Instance[],
  node: number,
  at: string,
  options: ResolveOptions,
): Pick<ClusterNode, 'hostMemory' | 'pim'> {
  const sizeBytes = memory.mem_size * bytesPerGiB;
  const used = instances.some(({ engine, node: own }) => own === node && engine.attentionOffload);
  if (!used) return { hostMemory: memoryOf(memory) };
  const place = `${at}: nodes[${node}].cpu_mem.pim_config`;
  const { pim_config: name } = memory;
  const { findPim } = options;
  if (name === undefined || findPim === undefined) {
    throw new UserError('is missing: an instance of the node offloads attention', { at: place });
  }
  const device = askedBy(place, () => findPim(name));
  const pim = pimMemory(device, sizeBytes, place);
  const bandwidthGBps = pim.numChannels * pim.channelBandwidthGBps;
  // Time is whole nanoseconds.
  const latencyNs = Math.round(pim.latencyNs);
  return { hostMemory: { sizeBytes, bandwidthGBps, latencyNs }, pim };
}

function tiersOf(
  kvTiersPlace: string,
  kvTiers: readonly KvTierFile[] | undefined,
): Pick<Cluster, 'kvTiers' | 'kvTiersPlace'> | undefined {
  if (kvTiers === undefined) return undefined;
  return kvTiers.length === 0 ? {} : { kvTiers, kvTiersPlace };
}

function checkCounts(file: ClusterFile, at: string): void {
  if (file.topology !== undefined && file.topology.nic === undefined && file.nodes.length > 1) {
    throw new UserError('nic is missing: the cluster has several nodes', {
      at: `${at}: topology`,
    });
  }
  if (file.num_nodes !== undefined && file.num_nodes !== file.nodes.length) {
    throw new UserError(`is ${file.num_nodes}, but nodes has ${file.nodes.length} entries`, {
      at: `${at}: num_nodes`,
    });
  }
  file.nodes.forEach((node, i) => {
    if (node.num_instances !== undefined && node.num_instances !== node.instances.length) {
      throw new UserError(
        `is ${node.num_instances}, but instances has ${node.instances.length} entries`,
        { at: `${at}: nodes[${i}].num_instances` },
      );
    }
  });
}

function resolveInstance(
  entry: InstanceFile,
  place: string,
  node: number,
  index: number,
  firstNpu: number,
  options: ResolveOptions,
): Instance {
  const model = askedBy(`${place}.model_name`, () => options.findModel(entry.model_name));
  const { tp, pp } = parallelDegrees(entry, place);
  checkDegrees(model, tp, pp, place);
  const ep = entry.ep_size ?? (model.moe === undefined ? 1 : (entry.ffn?.tp_size ?? tp));
  checkExpertRanks(model, ep, entry.experts, place);
  checkPools(entry, place, pp);
  return {
    index,
    name: entry.name ?? `instance${index}`,
    place,
    node,
    model,
    hardware: entry.hardware,
    role: entry.pd_type ?? 'colocated',
    tp,
    pp,
    ep,
    dpGroup: entry.dp_group ?? undefined,
    npus: Array.from({ length: tp * pp }, (_, i) => firstNpu + i),
    memory: deviceMemory(entry.npu_mem, options),
    engine: engineOf(entry, model, options),
    placement: entry.placement,
    weightPrefetchLayers: entry.weight_prefetch_layers,
    ...(entry.router_weight === undefined ? {} : { routerWeight: entry.router_weight }),
    ...(entry.device_cost_per_hour === undefined
      ? {}
      : { deviceCostPerHour: entry.device_cost_per_hour }),
    ...(entry.stage_hardware === undefined ? {} : { stageHardware: entry.stage_hardware }),
    ...(entry.stage_npu_mem === undefined
      ? {}
      : { stageMemory: entry.stage_npu_mem.map((memory) => deviceMemory(memory, options)) }),
    ...(entry.ffn === undefined ? {} : { ffn: ffnPool(entry.ffn, firstNpu + tp * pp, options) }),
    ...(entry.experts === undefined ? {} : { experts: entry.experts }),
  };
}

function checkDegrees(model: ModelShape, tp: number, pp: number, place: string): void {
  if (pp > model.numLayers) {
    throw new UserError(`${pp} stages, but the model has ${model.numLayers} layers`, {
      at: `${place}.pp_size`,
    });
  }
  if (model.numHeads % tp !== 0) {
    throw new UserError(`tp ${tp} does not divide the model's ${model.numHeads} heads`, {
      at: `${place}.tp_size`,
    });
  }
}

/** Flags win over the instance, that over its device. */
function engineOf(entry: InstanceFile, model: ModelShape, options: ResolveOptions): EngineOptions {
  const device = deviceEngine(entry.hardware);
  const own = engineOverridesOf(entry);
  const engine = resolveEngine(model.dtype, device, own, options.flags ?? {});
  return limitEngine(engine, model.maxPositionEmbeddings);
}

function ffnPool(
  { hardware, tp_size: tp, npu_mem: memory, micro_batches: microBatches }: FfnFile,
  firstNpu: number,
  options: ResolveOptions,
): FfnPool {
  const npus = Array.from({ length: tp }, (_, i) => firstNpu + i);
  return { hardware, tp, npus, memory: deviceMemory(memory, options), microBatches };
}

type FfnFile = NonNullable<InstanceFile['ffn']>;

function deviceMemory(memory: InstanceFile['npu_mem'], options: ResolveOptions): DeviceMemory {
  return {
    sizeBytes:
      options.deviceMemoryBytes ?? memory.device_bytes ?? Math.floor(memory.mem_size * bytesPerGiB),
    bandwidthGBps: memory.mem_bw,
    latencyNs: memory.mem_latency,
    utilization: options.memoryUtilization ?? memory.mem_util ?? 0.9,
  };
}

/** Several pools of devices in one instance. */
function checkPools(entry: InstanceFile, place: string, pp: number): void {
  const { stage_hardware: stages, stage_npu_mem: memories, ffn } = entry;
  if (stages !== undefined && stages.length !== pp) {
    throw new UserError(`names ${stages.length} devices, but there are ${pp} stages`, {
      at: `${place}.stage_hardware`,
    });
  }
  if (memories !== undefined && memories.length !== pp) {
    throw new UserError(`has ${memories.length} entries, but there are ${pp} stages`, {
      at: `${place}.stage_npu_mem`,
    });
  }
  if (ffn === undefined) return;
  const clash = [
    [pp > 1, 'pipeline stages'],
    [entry.dp_group != null, 'a data-parallel group'],
    [entry.placement !== undefined, 'weight placement'],
    [entry.experts?.offload !== undefined, 'expert offloading'],
    [entry.experts?.eplb !== undefined, 'expert load balancing'],
  ].find(([present]) => present);
  if (clash !== undefined) {
    throw new UserError(`cannot be combined with ${clash[1]}`, { at: `${place}.ffn` });
  }
}

/** TP and PP from whichever of the keys are given; both generations of LLMServingSim. */
function parallelDegrees(entry: InstanceFile, place: string): { tp: number; pp: number } {
  if (entry.npu_num !== undefined || entry.npu_group !== undefined) {
    const pp = entry.npu_group ?? 1;
    const npus = entry.npu_num ?? pp;
    if (npus % pp !== 0) {
      throw new UserError(`npu_num ${npus} is not a multiple of npu_group ${pp}`, {
        at: `${place}.npu_num`,
      });
    }
    return { tp: npus / pp, pp };
  }
  const { num_npus: npus, tp_size: tp, pp_size: pp } = entry;
  if (npus === undefined) return { tp: tp ?? 1, pp: pp ?? 1 };
  const knownTp = tp ?? (pp === undefined ? npus : npus / pp);
  const knownPp = pp ?? npus / knownTp;
  const isWhole = Number.isInteger(knownTp) && Number.isInteger(knownPp);
  if (!isWhole || knownTp * knownPp !== npus) {
    const degrees = isWhole
      ? `but tp x pp is ${knownTp} x ${knownPp}`
      : `no multiple of ${tp === undefined ? `pp_size ${pp}` : `tp_size ${tp}`}`;
    throw new UserError(`num_npus is ${npus}, ${degrees}`, { at: `${place}.num_npus` });
  }
  return { tp: knownTp, pp: knownPp };
}
