/** What `placement` puts off the device must be of the model, and fit where it is put. */
import { bytesPerGiB, UserError } from '@astrolabe/base';
import { weightBytesAt } from './resident-weights.js';
import type { ClusterNode, Instance } from './resolved-cluster.js';
import { type WeightLocation, weightPlacement } from './weight-placement.js';

/**
 * Each instance by itself: those of one model may read the same weights.
 * @param cxlBytes of one CXL device; undefined: there are none, which is told where weights are read
 * @throws UserError blocks that the model does not have, weights that are larger than the memory
 */
export function checkOffDevice(
  instance: Instance,
  node: ClusterNode,
  cxlBytes: number | undefined,
): void {
  if (instance.placement === undefined) return;
  const at = `${instance.place}.placement`;
  const { lastBlock, locations } = weightPlacement(instance.placement);
  const { numLayers } = instance.model;
  if (lastBlock >= numLayers) {
    throw new UserError(`no block ${lastBlock}: the model has 0 to ${numLayers - 1}`, {
      at: `${at}.blocks`,
    });
  }
  const seen = new Set<string>();
  for (const where of locations) {
    const name = nameOf(where);
    const capacity = where.tier === 'cpu' ? node.hostMemory.sizeBytes : cxlBytes;
    if (where.tier === 'npu' || capacity === undefined || seen.has(name)) continue;
    seen.add(name);
    const bytes = weightBytesAt(instance, where);
    if (bytes <= capacity) continue;
    throw new UserError(`${gib(bytes)} GiB of weights on ${name}, which has ${gib(capacity)}`, {
      at,
    });
  }
}

function nameOf({ tier, device }: WeightLocation): string {
  return tier === 'cxl' ? `cxl:${device}` : tier;
}

function gib(bytes: number): string {
  return (bytes / bytesPerGiB).toFixed(1);
}
