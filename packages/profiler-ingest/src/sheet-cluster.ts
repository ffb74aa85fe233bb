/**
 * A cluster file from data sheets, as short as a person would write it, and notes on what in it no
 * sheet says. Sheets count links in GB of 10^9 bytes, cluster files in GB of 2^30: converted here.
 */
import { bytesPerGiB, UserError } from '@astrolabe/base';
import { type clusterFileSchema, type Dtype, defaultHostLinkGBps } from '@astrolabe/config';
import type { Device } from '@astrolabe/profile';
import type { z } from 'zod';

export interface SheetInstance {
  /** As the user wrote it, for messages. */
  readonly text: string;
  readonly device: Device;
  readonly tp: number;
  readonly pp: number;
  readonly ep: number | undefined;
  readonly role: 'prefill' | 'decode' | undefined;
}

export interface SheetClusterOptions {
  /** As the cluster file names it. */
  readonly modelName: string;
  readonly dtype: Dtype | undefined;
  /** Most devices of a node. */
  readonly perNode: number;
  /** Of each network card, Gbit/s. */
  readonly nicGbps: number;
}

type ClusterInput = z.input<typeof clusterFileSchema>;
type NodeInput = ClusterInput['nodes'][number];

interface SheetCluster {
  readonly file: ClusterInput;
  /** In the order of the file's instances. */
  readonly instances: readonly SheetInstance[];
  /** What is assumed, and what a sheet lacks. */
  readonly notes: readonly string[];
}

/** What no data sheet says. Latencies are round figures of the order that is measured, ns. */
const hostMemory = { mem_size: 512, mem_bw: 256 };
const linkLatencyNs = 1000;
const pcieLatencyNs = 2000;
const nicLatencyNs = 5000;
/** Shares of the board's power. */
const idleShare = 0.1;
const standbyShare = 0.2;
const standbyS = 1;
/** PCIe 4.0 x16, GB/s of 10^9: of a device whose sheet states no link; `defaultHostLinkGBps` is its. */
const assumedPcieGBps = 32;

interface SheetNode {
  readonly device: Device;
  readonly instances: SheetInstance[];
  devices: number;
}

/** @throws UserError an instance larger than a node, prefill without decode */
export function sheetCluster(
  instances: readonly SheetInstance[],
  options: SheetClusterOptions,
): SheetCluster {
  checkRoles(instances);
  const nodes = nodesOf(instances, options.perNode);
  const devices = [...new Map(nodes.map(({ device }) => [device.name, device])).values()];
  const notes: string[] = [];
  const links = linksOf(devices, notes);
  const least = Math.min(...links.values());
  const power = powerOf(devices, notes);
  const host = `host memory ${hostMemory.mem_size} GiB at ${hostMemory.mem_bw} GB/s a node`;
  notes.push(`assumed: ${host}, links ${linkLatencyNs} ns a hop`);
  const transfers = nodes.length > 1 && instances.some(({ role }) => role !== undefined);
  const file: ClusterInput = {
    link_bw: least,
    link_latency: linkLatencyNs,
    link_nominal: true,
    ...(transfers ? { topology: topologyOf(nodes, least, options.nicGbps, notes) } : {}),
    nodes: nodes.map((node) => {
      const { name } = node.device;
      const link = links.get(name);
      return nodeOf(node, link === least ? undefined : link, power.get(name), options);
    }),
  };
  return { file, instances: nodes.flatMap((node) => node.instances), notes };
}

function checkRoles(instances: readonly SheetInstance[]): void {
  const has = (role: string): boolean => instances.some((one) => one.role === role);
  if (has('prefill') === has('decode')) return;
  const [there, missing] = has('prefill') ? ['prefill', 'decode'] : ['decode', 'prefill'];
  throw new UserError(`${there} without ${missing}`, { hint: `expected an instance :${missing}` });
}

/** Like devices share a node while there is room; unlike ones are in nodes of their own. */
function nodesOf(instances: readonly SheetInstance[], perNode: number): SheetNode[] {
  const nodes: SheetNode[] = [];
  for (const one of instances) {
    const size = one.tp * one.pp;
    if (size > perNode) {
      throw new UserError(`${size} devices, a node has ${perNode}`, {
        at: one.text,
        hint: 'an instance is in one node: lower tp or pp, or raise --per-node',
      });
    }
    let node = nodes.find(
      ({ device, devices }) => device.name === one.device.name && devices + size <= perNode,
    );
    if (node === undefined) {
      node = { device: one.device, instances: [], devices: 0 };
      nodes.push(node);
    }
    node.instances.push(one);
    node.devices += size;
  }
  return nodes;
}

/** GB/s of 10^9 to GB/s of 2^30. */
function linkGBps(decimalGBps: number): number {
  return threeDigits((decimalGBps * 1e9) / bytesPerGiB);
}

function threeDigits(value: number): number {
  return Number(value.toPrecision(3));
}

/** GB/s of 2^30 by device. */
function linksOf(devices: readonly Device[], notes: string[]): Map<string, number> {
  return new Map(
    devices.map((device) => {
      const { name, gb_s: decimal } = linkOf(device, notes);
      const bandwidth = linkGBps(decimal);
      notes.push(
        `link_bw ${bandwidth}: ${name} of ${device.name}, ${decimal} GB/s of 10^9 per direction, ` +
          'in GB/s of 2^30',
      );
      return [device.name, bandwidth];
    }),
  );
}

function linkOf(device: Device, notes: string[]): { name: string; gb_s: number } {
  if (device.link !== undefined) return device.link;
  if (device.pcie_gb_s !== undefined) return { name: 'PCIe', gb_s: device.pcie_gb_s };
  notes.push(`${device.name}: its data sheet states neither link nor pcie_gb_s`);
  return { name: 'PCIe 4.0 x16, assumed,', gb_s: assumedPcieGBps };
}

type DevicePower = NonNullable<NodeInput['power']>['npu'][string];

/** By device; empty unless all are known, as the energy of some of the devices compares with nothing. */
function powerOf(devices: readonly Device[], notes: string[]): Map<string, DevicePower> {
  const unknown = devices.filter(({ tdp_watts: watts }) => watts === undefined);
  if (unknown.length > 0) {
    const names = unknown.map(({ name }) => name).join(', ');
    notes.push(`no power block, no energy: the data sheet of ${names} lacks tdp_watts`);
    return new Map();
  }
  notes.push(
    `assumed: a device at work draws its board power, ${100 * standbyShare} % of it in standby, ` +
      `${100 * idleShare} % idle`,
  );
  const share = (device: Device, of: number): number => Math.round((device.tdp_watts ?? 0) * of);
  return new Map(
    devices.map((device) => [
      device.name,
      {
        idle_power: share(device, idleShare),
        standby_power: share(device, standbyShare),
        active_power: share(device, 1),
        standby_duration: standbyS,
      },
    ]),
  );
}

/** Of KV that goes from node to node. Every node has as many cards as the smallest has devices. */
function topologyOf(
  nodes: readonly SheetNode[],
  link: number,
  nicGbps: number,
  notes: string[],
): NonNullable<ClusterInput['topology']> {
  const sizes = nodes.map(({ devices }) => devices);
  const cards = Math.min(...sizes);
  const pcie = Math.min(...nodes.map(({ device }) => device.pcie_gb_s ?? assumedPcieGBps));
  notes.push(`assumed: ${cards} network cards of ${nicGbps} Gbit/s a node, ${nicLatencyNs} ns`);
  return {
    ...(nodes.every(({ device }) => device.link !== undefined)
      ? { nvlink: { domain_size: Math.max(...sizes), bw: link, latency: linkLatencyNs } }
      : {}),
    pcie: { bw: linkGBps(pcie), latency: pcieLatencyNs },
    nic: { per_node: cards, bw: linkGBps(nicGbps / 8), latency: nicLatencyNs },
  };
}

function nodeOf(
  { device, instances }: SheetNode,
  ownLink: number | undefined,
  power: DevicePower | undefined,
  options: SheetClusterOptions,
): NodeInput {
  const pcie = device.pcie_gb_s ?? assumedPcieGBps;
  return {
    cpu_mem: hostMemory,
    // What the default is of PCIe 4.0.
    ...(pcie === assumedPcieGBps
      ? {}
      : { host_link_bw: threeDigits((defaultHostLinkGBps * pcie) / assumedPcieGBps) }),
    ...(ownLink === undefined ? {} : { link_bw: ownLink }),
    ...(power === undefined ? {} : { power: { npu: { [device.name]: power } } }),
    instances: instances.map(({ tp, pp, ep, role }) => ({
      model_name: options.modelName,
      hardware: device.name,
      npu_mem: { mem_size: device.memory_gib, mem_bw: device.memory_bandwidth_gb_s },
      tp_size: tp,
      ...(pp === 1 ? {} : { pp_size: pp }),
      ...(ep === undefined ? {} : { ep_size: ep }),
      ...(role === undefined ? {} : { pd_type: role }),
      ...(options.dtype === undefined ? {} : { dtype: options.dtype }),
    })),
  };
}
