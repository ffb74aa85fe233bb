/** The network a spec asks for. */
import { UserError } from '@astrolabe/base';
import type { Network } from '../core.js';
import { AwareNetwork, dimensionLinks, type LinkMap, levelLinks } from './aware.js';
import {
  bytesPerNs,
  type DelayNs,
  delayFunction,
  type LinkOverride,
  type NetworkSpec,
  routeDelay,
  unawareNetwork,
} from './topology.js';

/** @throws UserError when the dimensions do not give the NPUs */
export function createNetwork(spec: NetworkSpec, numNpus: number): Network {
  checkShape(spec, numNpus);
  if (spec.congestion === 'unaware') return unawareNetwork(delayOf(spec, numNpus));
  if (spec.levels !== undefined) return new AwareNetwork(levelLinks(spec.levels, numNpus));
  return new AwareNetwork(linkMap(spec, numNpus));
}

/** Delay of a message that meets no other. */
export function delayOf(spec: NetworkSpec, numNpus: number): DelayNs {
  const different = spec.links !== undefined && spec.links.length > 0;
  return different ? routeDelay(linkMap(spec, numNpus)) : delayFunction(spec);
}

function linkMap(spec: NetworkSpec, numNpus: number): LinkMap {
  const options = { cutThrough: spec.cutThrough ?? true };
  const map = dimensionLinks(spec.dims ?? [], numNpus, options);
  for (const override of spec.links ?? []) applyOverride(map, override);
  return map;
}

/** @throws UserError if there is no such link */
function applyOverride(
  map: LinkMap,
  { from, to, npu, dim, bandwidth, latency }: LinkOverride,
): void {
  let found = 0;
  for (let link = 0; link < map.count; link++) {
    const [ofDim, begin, end] = map.ends(link);
    if (dim !== undefined && ofDim !== dim) continue;
    if (npu === undefined ? begin !== from || end !== to : begin !== npu && end !== npu) continue;
    found++;
    if (latency !== undefined) map.latencyNs[link] = latency;
    if (bandwidth !== undefined) map.bytesPerNs[link] = bytesPerNs(bandwidth);
  }
  if (found > 0) return;
  const what = npu === undefined ? `from NPU ${from} to NPU ${to}` : `at NPU ${npu}`;
  throw new UserError(`there is no link ${what}`, { at: 'network: links' });
}

function checkShape(spec: NetworkSpec, numNpus: number): void {
  if (spec.levels !== undefined) {
    for (const level of spec.levels) {
      if (level.domain.length !== numNpus) {
        throw new UserError(`a network level of ${level.domain.length} NPUs instead of ${numNpus}`);
      }
    }
    return;
  }
  const product = (spec.dims ?? []).reduce((n, dim) => n * dim.npus, 1);
  if (product !== numNpus) {
    throw new UserError(`network dimensions give ${product} NPUs, the machine has ${numNpus}`);
  }
}
