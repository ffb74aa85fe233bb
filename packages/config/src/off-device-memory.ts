/** What `placement` and the offloading of experts put off the device must be of the model, and fit there. */
import { bytesPerGiB, UserError } from '@astrolabe/base';
import { expertPeersOf } from './expert-ranks.js';
import { routedBytesAt, weightBytesAt } from './resident-weights.js';
import type { ClusterNode, Instance } from './resolved-cluster.js';
import { type WeightLocation, weightPlacement } from './weight-placement.js';

/**
 * Each instance by itself, with those that share its experts: others of one model may read the same
 * weights.
 * @param cxlBytes of one CXL device; undefined: there are none, which is told where weights are read
 * @throws UserError blocks that the model does not have, weights that are larger than the memory
 */
export function checkOffDevice(
  instance: Instance,
  instances: readonly Instance[],
  node: ClusterNode,
  cxlBytes: number | undefined,
): void {
  const offload = instance.experts?.offload;
  if (instance.placement === undefined && offload === undefined) return;
  const at = `${instance.place}.${offload === undefined ? 'placement' : 'experts.offload'}`;
  const { lastBlock, locations } = weightPlacement(instance.placement);
  const { numLayers } = instance.model;
  if (lastBlock >= numLayers) {
    throw new UserError(`no block ${lastBlock}: the model has 0 to ${numLayers - 1}`, {
      at: `${instance.place}.placement.blocks`,
    });
  }
  const seen = new Set<string>();
  const experts = offload === undefined ? [] : [expertsAt(offload)];
  for (const where of [...locations, ...experts]) {
    const name = nameOf(where);
    const capacity = where.tier === 'cpu' ? node.hostMemory.sizeBytes : cxlBytes;
    if (where.tier === 'npu' || capacity === undefined || seen.has(name)) continue;
    seen.add(name);
    const bytes = bytesAt(instance, instances, where);
    if (bytes <= capacity) continue;
    throw new UserError(`${gib(bytes)} GiB of weights on ${name}, which has ${gib(capacity)}`, {
      at,
    });
  }
}

function expertsAt({ tier, device }: { tier: 'cpu' | 'cxl'; device: number }): WeightLocation {
  return { tier, device: tier === 'cpu' ? 0 : device };
}

/** Weights of a node's instances in its host memory; those of one model are there once. */
export function weightBytesOnHost(instances: readonly Instance[], node: number): number {
  const own = instances.filter((instance) => instance.node === node);
  return largestOfModels(own, (one) => bytesAt(one, own, { tier: 'cpu', device: 0 }));
}

/** Of all instances, on all CXL devices. */
export function weightBytesOnCxl(instances: readonly Instance[], numDevices: number): number {
  return largestOfModels(instances, (one) => {
    let bytes = 0;
    for (let device = 0; device < numDevices; device++) {
      bytes += bytesAt(one, instances, { tier: 'cxl', device });
    }
    return bytes;
  });
}

/**
 * Of an instance and those that share its experts and reach the memory: the experts of each, all else
 * once.
 */
function bytesAt(
  instance: Instance,
  instances: readonly Instance[],
  where: WeightLocation,
): number {
  const sharing = expertPeersOf(instances, instance).filter(
    ({ node }) => where.tier !== 'cpu' || node === instance.node,
  );
  let routed = 0;
  let rest = 0;
  for (const one of sharing) {
    const own = routedBytesAt(one, where);
    routed += own;
    rest = Math.max(rest, weightBytesAt(one, where) - own);
  }
  return routed + rest;
}

function largestOfModels(
  instances: readonly Instance[],
  bytesOf: (instance: Instance) => number,
): number {
  const byModel = new Map<string, number>();
  for (const one of instances) {
    const known = byModel.get(one.model.name) ?? 0;
    byModel.set(one.model.name, Math.max(known, bytesOf(one)));
  }
  return [...byModel.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function nameOf({ tier, device }: WeightLocation): string {
  return tier === 'cxl' ? `cxl:${device}` : tier;
}

function gib(bytes: number): string {
  return (bytes / bytesPerGiB).toFixed(1);
}
