/**
 * Which instance serves a request. A policy sees only the instances that can serve it. Names follow
 * LLMServingSim (RR, RAND, LOAD) and plain words alike.
 */
import { nearest, Random, UserError } from '@astrolabe/base';
import type { InstanceEngine } from './instance-engine.js';

/** Picks one of `candidates` (never empty), by position. `cursor` is the policy's own counter. */
type Policy = (candidates: readonly InstanceEngine[], state: RouterState) => number;

interface RouterState {
  cursor: number;
  readonly random: Random;
}

export const routingPolicies = {
  'round-robin': (candidates, state) => state.cursor++ % candidates.length,
  random: (candidates, state) => state.random.below(candidates.length),
  'least-loaded': leastLoaded,
} satisfies Record<string, Policy>;
export type RoutingPolicy = keyof typeof routingPolicies;

const aliases: Record<string, RoutingPolicy> = {
  rr: 'round-robin',
  roundrobin: 'round-robin',
  rand: 'random',
  load: 'least-loaded',
  leastloaded: 'least-loaded',
};

/** @throws UserError unknown policy */
export function parseRoutingPolicy(text: string): RoutingPolicy {
  const name = text.toLowerCase().replaceAll('_', '-');
  if (name in routingPolicies) return name as RoutingPolicy;
  const alias = aliases[name.replaceAll('-', '')];
  if (alias !== undefined) return alias;
  const known = Object.keys(routingPolicies);
  const guess = nearest(name, known);
  throw new UserError(`unknown routing policy "${text}"`, {
    at: '--request-routing-policy',
    hint: guess === undefined ? `known: ${known.join(', ')}` : `did you mean "${guess}"?`,
  });
}

/**
 * vLLM's data-parallel balancer: least 4 x waiting + running, here over the seats so that unequal
 * instances compare; ties go to the next one in turn.
 */
function leastLoaded(candidates: readonly InstanceEngine[], state: RouterState): number {
  let best = 0;
  let bestScore = Number.POSITIVE_INFINITY;
  for (let i = 0; i < candidates.length; i++) {
    const position = (state.cursor + i) % candidates.length;
    const engine = candidates[position];
    const load = 4 * engine.numWaiting + engine.numRunning;
    const score = load / engine.instance.engine.maxNumSeqs;
    if (score < bestScore) {
      bestScore = score;
      best = position;
    }
  }
  state.cursor = best + 1;
  return best;
}

export class Router {
  private readonly policy: Policy;
  private readonly state: RouterState;

  constructor(policy: RoutingPolicy, seed: number) {
    this.policy = routingPolicies[policy];
    this.state = { cursor: 0, random: new Random(seed, 'router') };
  }

  choose(candidates: readonly InstanceEngine[]): InstanceEngine {
    return candidates[this.policy(candidates, this.state)];
  }
}
