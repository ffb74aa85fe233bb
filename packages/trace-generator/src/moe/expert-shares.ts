/**
 * Which share of tokens picks an expert, per layer: `p[e]` is the probability that a token's top k
 * contain expert e, so they sum to k and none exceeds 1.
 */
import { Random, UserError } from '@astrolabe/base';
import type { ExpertOptions, MoeShape } from '@astrolabe/config';

/** @returns undefined for routings without shares. @throws UserError loads that do not fit */
export function expertShares(
  options: ExpertOptions,
  moe: MoeShape,
  numLayers: number,
): Float64Array[] | undefined {
  if (options.routing === 'zipf') {
    return Array.from({ length: numLayers }, (_, layer) => zipfShares(options, moe, layer));
  }
  if (options.routing !== 'file') return undefined;
  const { loads } = options;
  if (loads === undefined) throw new UserError('expert routing "file" needs loads');
  if (loads.length !== 1 && loads.length !== numLayers) {
    throw new UserError(
      `expert loads have ${loads.length} layers, the model has ${numLayers} (or give one list)`,
    );
  }
  const perLayer = loads.map((list, layer) => {
    if (list.length !== moe.numExperts) {
      throw new UserError(
        `expert loads of layer ${layer} have ${list.length} entries, ` +
          `the model has ${moe.numExperts} experts`,
      );
    }
    return sharesOf(list, moe.expertsPerToken);
  });
  return Array.from({ length: numLayers }, (_, layer) => perLayer[layer % perLayer.length]);
}

/** The i-th hottest expert has weight (i + 1)^-s; which expert is how hot differs by layer. */
function zipfShares(options: ExpertOptions, moe: MoeShape, layer: number): Float64Array {
  const random = new Random(options.seed, `hot experts of layer ${layer}`);
  const order = Array.from({ length: moe.numExperts }, (_, expert) => expert);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const weights = new Array<number>(moe.numExperts);
  order.forEach((expert, rank) => {
    weights[expert] = (rank + 1) ** -options.zipf_exponent;
  });
  return sharesOf(weights, moe.expertsPerToken);
}

/**
 * Weights scaled to sum to `picks`. A token picks an expert at most once: what would exceed 1 is
 * spread over the others in proportion.
 * @throws UserError fewer experts with a load than a token picks
 */
export function sharesOf(weights: readonly number[], picks: number): Float64Array {
  const shares = new Float64Array(weights.length);
  const full = new Uint8Array(weights.length);
  if (weights.filter((weight) => weight > 0).length < picks) {
    throw new UserError(`expert loads: a token picks ${picks} experts, fewer have a load`);
  }
  for (;;) {
    let left = picks;
    let total = 0;
    for (let e = 0; e < weights.length; e++) {
      if (full[e] === 1) left--;
      else total += weights[e];
    }
    let overflow = false;
    for (let e = 0; e < weights.length; e++) {
      if (full[e] === 1) continue;
      shares[e] = total === 0 ? 0 : (weights[e] / total) * left;
      if (shares[e] > 1) {
        shares[e] = 1;
        full[e] = 1;
        overflow = true;
      }
    }
    if (!overflow) return shares;
  }
}
