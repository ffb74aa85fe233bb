/**
 * Weights that live off the device: a memory load before each operator that needs them, issued some
 * layers ahead so that it runs beside the computation, as engines that stream weights do.
 */
import { nearest, UserError } from '@astrolabe/base';
import { TensorLocation } from '@astrolabe/chakra';
import {
  type Cluster,
  type Instance,
  operatorWeightBytes,
  redundantExperts,
  weightPlacement,
} from '@astrolabe/config';
import type { Context } from './lower.js';
import { type Operator, profileName, type Sequence } from './sequences.js';

const locations = { cpu: TensorLocation.remote, cxl: TensorLocation.cxl } as const;

/** The memory a load comes from: host memory is its node's, CXL memory the device's. */
export function tierOf(
  instance: Instance,
  { tier, device }: { readonly tier: 'cpu' | 'cxl'; readonly device: number },
): { readonly location: number; readonly device: number } {
  return { location: locations[tier], device: tier === 'cpu' ? instance.node : device };
}

/**
 * Node behind which a load may start that is due in a layer; -1 = at once.
 * @param layer -1 for embedding and head
 */
export function fetchStart(context: Context, layer: number, layersAhead: number): number {
  const { chain, layerStarts } = context;
  if (layersAhead === 0) return chain.last;
  const current = layer < 0 ? layerStarts.length : layerStarts.length - 1;
  return layerStarts[current - layersAhead] ?? -1;
}

/**
 * @param layer -1 for embedding and head
 * @returns the load's node; -1 when there is nothing to fetch
 */
export function fetchWeights(
  context: Context,
  layer: number,
  prefix: string,
  operator: Operator,
): number {
  const { placement, instance, chain } = context;
  const name = profileName(operator);
  const { tier, device } = placement.of(layer, name);
  if (tier === 'npu') return -1;
  const quantity = weightQuantity(context, name);
  if (quantity === 0) return -1;
  const at = tierOf(instance, { tier, device });
  const after = fetchStart(context, layer, instance.weightPrefetchLayers ?? 1);
  const label = `${prefix}${operator.name}.weights`;
  return chain.load(label, at.location, at.device, quantity, after);
}

/** @throws UserError a placement that names no operator of the sequence, or memory that is not there */
export function checkPlacement(cluster: Cluster, instance: Instance, sequence: Sequence): void {
  const at = `${instance.place}.placement`;
  const { embedding, attention, dense, moe, head } = sequence;
  const known = [embedding, attention, dense, moe, head].flat().map(profileName);
  const placement = weightPlacement(instance.placement);
  for (const operator of placement.operators) {
    if (known.includes(operator)) continue;
    const guess = nearest(operator, known);
    throw new UserError(`no operator "${operator}" in ${instance.model.name}`, {
      at,
      hint: guess === undefined ? `it has ${known.join(', ')}` : `did you mean "${guess}"?`,
    });
  }
  const devices = cluster.cxl?.numDevices ?? 0;
  for (const location of [...placement.locations, instance.experts?.offload]) {
    if (location === undefined) continue;
    const { tier, device } = location;
    if (tier === 'cxl' && device >= devices) {
      throw new UserError(`cxl:${device}: the cluster has ${devices} CXL devices`, { at });
    }
  }
}

/** Bytes of an operator's weights on one rank; of the embedding, the rows of the batch's tokens. */
function weightQuantity(context: Context, name: string): number {
  const { instance, quantities, experts, hiddenBytes } = context;
  if (name === 'embedding') {
    return quantities.add({ kind: 'bytes', perToken: hiddenBytes / instance.tp, perSequence: 0 });
  }
  const expertRanks = instance.ep * (experts?.slices ?? 1);
  const sharding = {
    tp: instance.tp,
    expertRanks,
    redundantExperts: redundantExperts(instance.experts),
  };
  const value = operatorWeightBytes(instance.model, sharding, name, instance.engine.dtype);
  return value === 0 ? 0 : quantities.add({ kind: 'constant', value });
}
