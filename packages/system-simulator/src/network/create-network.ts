/** The network a spec asks for. */
import { UserError } from '@astrolabe/base';
import type { Network } from '../core.js';
import { AwareNetwork, dimensionLinks, levelLinks } from './aware.js';
import { delayFunction, type NetworkSpec, unawareNetwork } from './topology.js';

/** @throws UserError when the dimensions do not give the NPUs */
export function createNetwork(spec: NetworkSpec, numNpus: number): Network {
  checkShape(spec, numNpus);
  if (spec.congestion === 'unaware') return unawareNetwork(delayFunction(spec));
  if (spec.levels !== undefined) return new AwareNetwork(levelLinks(spec.levels, numNpus));
  const options = { cutThrough: spec.cutThrough ?? true };
  return new AwareNetwork(dimensionLinks(spec.dims ?? [], numNpus, options));
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
