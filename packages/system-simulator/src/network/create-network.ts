/** The network a spec asks for. */
import { UserError } from '@astrolabe/base';
import type { Network } from '../core.js';
import { delayFunction, type NetworkSpec, unawareNetwork } from './topology.js';

/** @throws UserError when the dimensions do not give the NPUs */
export function createNetwork(spec: NetworkSpec, numNpus: number): Network {
  checkShape(spec, numNpus);
  return unawareNetwork(delayFunction(spec));
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
