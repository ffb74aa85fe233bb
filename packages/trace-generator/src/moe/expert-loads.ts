/**
 * What every expert rank computes of an iteration: token-expert pairs and distinct experts, by layer.
 * Experts are placed linearly (vLLM): rank r of R holds experts [r E/R, (r+1) E/R); with load
 * balancing as `expert-balancer.ts` says, an expert's tokens split evenly over its replicas.
 *
 * - `uniform`: every expert equally likely; of E local experts each token misses one with 1 - k/E, so
 *   E (1 - (1 - k/E)^T) are expected to be active.
 * - `proportional`: pairs in proportion to a rank's experts, as many distinct ones as pairs
 *   (LLMServingSim's BALANCED).
 * - `round_robin`: token t takes experts t k, t k + 1, ... modulo E, counted exactly.
 * - `random`: drawn anew per layer and iteration.
 * - `module`: a user's function says how many tokens each expert gets.
 * - `zipf`, `file`: expected values under the shares of `expert-shares.ts`.
 */
import { assert, Random, UserError } from '@astrolabe/base';
import {
  type ExpertOptions,
  type ExpertRouting,
  type MoeShape,
  redundantExperts,
} from '@astrolabe/config';
import { ExpertBalancer } from './expert-balancer.js';
import { linearPlacement, type Placement } from './expert-placement.js';
import { expertShares } from './expert-shares.js';

/** Of one layer, by rank; expected values. */
interface LayerLoads {
  readonly pairs: Float64Array;
  /** Experts with at least one pair. */
  readonly activated: Float64Array;
  /** Of these, the ones that are not cached on the device. */
  readonly missed: Float64Array;
}

/** Which iteration: peers of a data-parallel wave agree in it. */
export interface Draw {
  readonly group: number;
  readonly wave: number;
}

/** What a user's function is asked. */
interface ExpertQuestion {
  readonly layer: number;
  /** Of all ranks that share the experts. */
  readonly tokens: number;
  readonly numExperts: number;
  readonly expertsPerToken: number;
  /** Step of the engine, or wave of a data-parallel group. */
  readonly step: number;
  /** First instance of the group. */
  readonly group: number;
}

/** Tokens that each expert gets: `numExperts` counts that sum to tokens x expertsPerToken. */
export type ExpertRouter = (question: ExpertQuestion) => ArrayLike<number>;

interface Plan {
  readonly router: ExpertRouter | undefined;
  readonly options: ExpertOptions;
  readonly moe: MoeShape;
  readonly ranks: number;
  /** Expected picks of every expert per token, by layer; undefined: routings that need none. */
  readonly shares: readonly Float64Array[] | undefined;
  /** Each layer's shares as its experts were placed last. */
  readonly prepared: PreparedLayer[];
  readonly linear: Placement;
  readonly balancer: ExpertBalancer | undefined;
}

function placementOf({ balancer, linear }: Plan, layer: number, { wave }: Draw): Placement {
  return balancer?.placement(wave, layer) ?? linear;
}

type Compute = (plan: Plan, tokens: number, layer: number, draw: Draw) => LayerLoads;

/** Layers that share an answer: one for all, or each its own. */
const perLayer: Record<ExpertRouting, boolean> = {
  uniform: false,
  proportional: false,
  round_robin: false,
  random: true,
  zipf: true,
  file: true,
  module: true,
};

/** Answers that hold for one step only. */
const drawn: Partial<Record<ExpertRouting, boolean>> = { random: true, module: true };

const computers: Record<ExpertRouting, Compute> = {
  uniform: (plan, tokens, layer, draw) => {
    if (plan.balancer !== undefined) return expected(plan, tokens, layer, draw);
    const { numExperts, expertsPerToken } = plan.moe;
    const local = numExperts / plan.ranks;
    const missed = (1 - expertsPerToken / numExperts) ** tokens;
    return alike(plan, (tokens * expertsPerToken) / plan.ranks, local * (1 - missed));
  },
  proportional: (plan, tokens) => {
    const local = plan.moe.numExperts / plan.ranks;
    const pairs = (tokens * plan.moe.expertsPerToken) / plan.ranks;
    return alike(plan, pairs, Math.min(Math.max(1, Math.round(pairs)), local));
  },
  round_robin: (plan, tokens, layer, draw) => {
    const { numExperts, expertsPerToken } = plan.moe;
    const all = tokens * expertsPerToken;
    const counts = Float64Array.from({ length: numExperts }, (_, expert) =>
      Math.ceil((all - expert) / numExperts),
    );
    return counted(plan, counts, layer, draw);
  },
  random: (plan, tokens, layer, draw) => {
    const purpose = `experts of group ${draw.group} wave ${draw.wave} layer ${layer}`;
    const counts = drawCounts(plan.moe, tokens, new Random(plan.options.seed, purpose));
    return counted(plan, counts, layer, draw);
  },
  zipf: expected,
  file: expected,
  module: (plan, tokens, layer, draw) => {
    const counts = askRouter(plan, tokens, layer, draw);
    const loads = counted(plan, counts, layer, draw);
    plan.balancer?.record(draw.wave, layer, counts);
    return loads;
  },
};

/** Padded batches repeat their token counts, so few entries answer most iterations. */
const cacheEntries = 256;
/** More than any step has, so that a wave and its tokens make one number. */
const mostTokens = 2 ** 24;

export class ExpertLoads {
  /** Ranks differ, so each needs its own program. */
  readonly ranksDiffer: boolean;
  /** Layers differ, so each needs its own quantity. */
  readonly layersDiffer: boolean;
  private readonly plan: Plan;
  /** By tokens (and wave, when drawn), then by layer. */
  private readonly cache = new Map<number, LayerLoads[]>();
  /** Rearrangements that its entries have seen. */
  private cachedRearrangements = 0;

  /** @param ranks that whole experts are divided over. @throws UserError loads that do not fit */
  constructor(
    options: ExpertOptions,
    moe: MoeShape,
    numLayers: number,
    ranks: number,
    router?: ExpertRouter,
  ) {
    const redundant = redundantExperts(options);
    assert((moe.numExperts + redundant) % ranks === 0, 'ranks divide the experts');
    if (options.routing === 'module' && router === undefined) {
      throw new UserError('expert routing "module" needs a module');
    }
    const linear = linearPlacement(moe.numExperts, redundant);
    const balancing = options.eplb !== undefined;
    const shares = expertShares(options, moe, numLayers) ?? (balancing ? even(moe) : undefined);
    const balancer = balancerOf(options, moe, numLayers, ranks, shares);
    this.plan = { options, moe, ranks, shares, prepared: [], linear, balancer, router };
    this.layersDiffer = perLayer[options.routing];
    const same = options.routing === 'uniform' || options.routing === 'proportional';
    this.ranksDiffer = ranks > 1 && (balancing || !same);
  }

  /** @param tokens of all ranks that share the experts */
  layer(tokens: number, layer: number, draw: Draw): LayerLoads {
    const { routing } = this.plan.options;
    this.forget(draw);
    // Parts of one step's batch have tokens of their own.
    const key = drawn[routing] === true ? draw.wave * mostTokens + tokens : tokens;
    let layers = this.cache.get(key);
    if (layers === undefined) {
      if (this.cache.size >= cacheEntries) this.cache.clear();
      layers = [];
      this.cache.set(key, layers);
    }
    const index = this.layersDiffer ? layer : 0;
    layers[index] ??= computers[routing](this.plan, tokens, index, draw);
    return layers[index];
  }

  /** Experts of a layer that the busiest rank sends or receives before the step computes. */
  moved(layer: number, draw: Draw): number {
    return this.plan.balancer?.moved(draw.wave, this.layersDiffer ? layer : 0) ?? 0;
  }

  /** What was computed before a rearrangement. */
  private forget({ wave }: Draw): void {
    const rearrangements = this.plan.balancer?.rearrangements(wave) ?? 0;
    if (rearrangements === this.cachedRearrangements) return;
    this.cachedRearrangements = rearrangements;
    this.cache.clear();
  }
}

/** Shares of all layers when no expert is hotter than another. */
function even({ numExperts, expertsPerToken }: MoeShape): Float64Array[] {
  return [new Float64Array(numExperts).fill(expertsPerToken / numExperts)];
}

function balancerOf(
  options: ExpertOptions,
  { numExperts }: MoeShape,
  numLayers: number,
  ranks: number,
  shares: readonly Float64Array[] | undefined,
): ExpertBalancer | undefined {
  const balancing = options.eplb;
  if (balancing === undefined || shares === undefined) return undefined;
  const expected =
    options.routing === 'module'
      ? undefined
      : (layer: number): Float64Array => shares[layer] ?? shares[0];
  return new ExpertBalancer({ balancing, numExperts, ranks, numLayers, expected });
}

function alike(plan: Plan, pairs: number, activated: number): LayerLoads {
  const { ranks, moe } = plan;
  const cached = Math.min(1, (cachedExperts(plan) * ranks) / moe.numExperts);
  return {
    pairs: new Float64Array(ranks).fill(pairs),
    activated: new Float64Array(ranks).fill(activated),
    missed: new Float64Array(ranks).fill(activated * (1 - cached)),
  };
}

/** Experts of each layer that every rank keeps on the device. */
function cachedExperts({ options }: Plan): number {
  return options.offload?.cached_experts ?? 0;
}

/** @throws UserError an answer that is not a routing */
function askRouter(plan: Plan, tokens: number, layer: number, draw: Draw): Float64Array {
  const { numExperts, expertsPerToken } = plan.moe;
  const router = plan.router as ExpertRouter;
  const { wave: step, group } = draw;
  const answer = router({ layer, tokens, numExperts, expertsPerToken, step, group });
  const counts = Float64Array.from(answer);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const fits = counts.every((count) => count >= 0 && count <= tokens);
  if (counts.length !== numExperts || !fits || Math.abs(total - tokens * expertsPerToken) > 0.5) {
    throw new UserError(
      `the expert router's answer has ${counts.length} counts that sum to ${total}: expected ` +
        `${numExperts} of 0 to ${tokens} that sum to ${tokens * expertsPerToken}`,
      { at: `layer ${layer}` },
    );
  }
  return counts;
}

/** From tokens per expert. No expert is known to be hot: the first of every rank are cached. */
function counted(plan: Plan, counts: Float64Array, layer: number, draw: Draw): LayerLoads {
  const loads = alike(plan, 0, 0);
  const { experts, replicas } = placementOf(plan, layer, draw);
  const local = experts.length / plan.ranks;
  for (let slot = 0; slot < experts.length; slot++) {
    const expert = experts[slot];
    if (counts[expert] <= 0) continue;
    const rank = Math.floor(slot / local);
    loads.pairs[rank] += counts[expert] / replicas[expert];
    // Fewer tokens than replicas leave some of these idle.
    const active = Math.min(1, Math.ceil(counts[expert]) / replicas[expert]);
    loads.activated[rank] += active;
    if (slot % local >= cachedExperts(plan)) loads.missed[rank] += active;
  }
  return loads;
}

/** What a layer's shares come to, prepared for many token counts. */
interface PreparedLayer {
  readonly placement: Placement;
  /** Pairs per token of each rank. */
  readonly pairs: Float64Array;
  /** log(1 - share) of each expert, rank by rank, the most loaded first. */
  readonly logMissed: Float64Array;
}

function prepare(logical: Float64Array, placement: Placement, ranks: number): PreparedLayer {
  const { experts, replicas } = placement;
  const shares = Float64Array.from(experts, (expert) => logical[expert] / replicas[expert]);
  const local = shares.length / ranks;
  const pairs = new Float64Array(ranks);
  const logMissed = new Float64Array(shares.length);
  for (let rank = 0; rank < ranks; rank++) {
    const held = shares
      .slice(rank * local, (rank + 1) * local)
      .sort()
      .reverse();
    held.forEach((share, heat) => {
      pairs[rank] += share;
      logMissed[rank * local + heat] = Math.log1p(-share);
    });
  }
  return { placement, pairs, logMissed };
}

function preparedLayer(plan: Plan, layer: number, draw: Draw): PreparedLayer {
  const { shares, prepared, ranks } = plan;
  assert(shares !== undefined, 'routing has shares');
  const placement = placementOf(plan, layer, draw);
  let known = prepared[layer];
  if (known?.placement !== placement) {
    known = prepare(shares[layer], placement, ranks);
    prepared[layer] = known;
  }
  return known;
}

/** Expected values when a token picks expert e with probability p: active with 1 - (1 - p)^T. */
function expected(plan: Plan, tokens: number, layer: number, draw: Draw): LayerLoads {
  const { pairs, logMissed } = preparedLayer(plan, layer, draw);
  const loads = alike(plan, 0, 0);
  const local = logMissed.length / plan.ranks;
  const cached = cachedExperts(plan);
  for (let rank = 0; rank < plan.ranks; rank++) {
    let activated = 0;
    let missed = 0;
    for (let heat = 0; heat < local; heat++) {
      const active = 1 - Math.exp(tokens * logMissed[rank * local + heat]);
      activated += active;
      if (heat >= cached) missed += active;
    }
    loads.pairs[rank] = pairs[rank] * tokens;
    loads.activated[rank] = activated;
    loads.missed[rank] = missed;
  }
  return loads;
}

/** Above this many tokens a count is drawn from the normal approximation of its binomial. */
const exactTokens = 32;

function drawCounts(moe: MoeShape, tokens: number, random: Random): Float64Array {
  const { numExperts, expertsPerToken } = moe;
  const counts = new Float64Array(numExperts);
  if (tokens > exactTokens) {
    const share = expertsPerToken / numExperts;
    const deviation = Math.sqrt(tokens * share * (1 - share));
    for (let expert = 0; expert < numExperts; expert++) {
      const count = Math.round(tokens * share + deviation * random.normal());
      counts[expert] = Math.min(tokens, Math.max(0, count));
    }
    return counts;
  }
  const order = Int32Array.from({ length: numExperts }, (_, expert) => expert);
  for (let token = 0; token < tokens; token++) {
    // The first k of a partial Fisher-Yates shuffle are k different experts.
    for (let i = 0; i < expertsPerToken; i++) {
      const j = i + random.below(numExperts - i);
      const expert = order[j];
      order[j] = order[i];
      order[i] = expert;
      counts[expert]++;
    }
  }
  return counts;
}
