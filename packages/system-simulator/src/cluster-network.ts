/**
 * Links of a cluster file. With `topology`: NVLink or NVSwitch domains, PCIe within a node, network
 * cards and the switch between nodes, each a level; two NPUs talk over the innermost they share.
 * Without: one level per entry of `link_bw`, innermost the NPUs of one pipeline stage, outermost
 * everything, and no contention, as LLMServingSim sets ASTRA-sim up. Nodes may have links of their
 * own. Link bandwidth is GB/s of 2^30.
 */
import { UserError } from '@astrolabe/base';
import type { Cluster, Instance, TopologyFile } from '@astrolabe/config';
import type { LevelSpec, NetworkSpec } from './network/topology.js';

/** @throws UserError a node with more network cards than devices */
export function clusterNetwork(cluster: Cluster): NetworkSpec {
  const { topology } = cluster;
  if (topology === undefined) {
    const own = nodeLevels(cluster, cluster.linkLatencyNs[0]);
    return { congestion: 'unaware', levels: [...own, ...levels(cluster)] };
  }
  const own = nodeLevels(cluster, (topology.nvlink ?? topology.pcie).latency);
  return {
    congestion: topology.congestion,
    levels: [...own, ...topologyLevels(cluster, topology)],
  };
}

/** Nodes with links of their own: in place of all others between their devices. */
function nodeLevels(cluster: Cluster, latencyNs: number): LevelSpec[] {
  const { nodes } = cluster;
  const bandwidths = new Set(nodes.flatMap(({ linkGBps }) => linkGBps ?? []));
  if (bandwidths.size === 0) return [];
  const places = placesOf(cluster);
  return [...bandwidths].map((bandwidthGBps) => ({
    // The devices of other nodes are each alone here.
    domain: places.map(({ node }, npu) =>
      nodes[node].linkGBps === bandwidthGBps ? node : nodes.length + npu,
    ),
    bandwidthGBps,
    latencyNs,
  }));
}

function topologyLevels(cluster: Cluster, topology: TopologyFile): LevelSpec[] {
  const { nvlink, pcie, nic } = topology;
  const places = placesOf(cluster);
  const found: LevelSpec[] = [];
  if (nvlink !== undefined) {
    const { domain_size: size, spans_nodes: spans } = nvlink;
    found.push({
      domain: places.map(({ node, position }, npu) =>
        spans ? Math.trunc(npu / size) : node * cluster.numNpus + Math.trunc(position / size),
      ),
      bandwidthGBps: nvlink.bw,
      latencyNs: nvlink.latency,
    });
  }
  found.push({
    domain: places.map(({ node }) => node),
    bandwidthGBps: pcie.bw,
    latencyNs: pcie.latency,
  });
  if (nic !== undefined && cluster.nodes.length > 1) {
    found.push({
      domain: places.map(() => 0),
      bandwidthGBps: nic.bw,
      latencyNs: nic.latency,
      port: places.map(({ node, position, devices }) => {
        if (nic.per_node > devices) {
          throw new UserError(`${nic.per_node} cards for the ${devices} devices of node ${node}`, {
            at: 'topology.nic.per_node',
            hint: 'expected at most one card a device; cards that no instance uses are left out',
          });
        }
        return node * nic.per_node + Math.trunc((position * nic.per_node) / devices);
      }),
      ...(nic.rails ? { rails: nic.per_node } : {}),
    });
  }
  return found;
}

interface Place {
  readonly node: number;
  /** Among the node's devices. */
  readonly position: number;
  readonly devices: number;
}

/** Where each NPU is. Instances of a node are listed together, so NPU ids ascend by node. */
function placesOf(cluster: Cluster): Place[] {
  const devices = new Map<number, number>();
  for (const instance of cluster.instances) {
    const { node } = instance;
    devices.set(node, (devices.get(node) ?? 0) + allNpus(instance).length);
  }
  const places: Place[] = [];
  const taken = new Map<number, number>();
  for (const instance of cluster.instances) {
    const { node } = instance;
    for (const npu of allNpus(instance)) {
      const position = taken.get(node) ?? 0;
      taken.set(node, position + 1);
      places[npu] = { node, position, devices: devices.get(node) ?? 0 };
    }
  }
  return places;
}

/** Those of feed-forward blocks too; they come last, as a stage of their own. */
function allNpus({ npus, ffn }: Instance): readonly number[] {
  return ffn === undefined ? npus : [...npus, ...ffn.npus];
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
  for (const instance of cluster.instances) {
    const { tp, pp } = instance;
    allNpus(instance).forEach((npu, i) => {
      domain[npu] = next + (level === 0 ? Math.min(Math.trunc(i / tp), pp) : 0);
    });
    next += pp + 1;
  }
  return domain;
}
