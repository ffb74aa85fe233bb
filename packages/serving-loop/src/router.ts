/**
 * The router: applies one policy, with its state, to the instances that can serve a request. Names
 * follow LLMServingSim (RR, RAND, LOAD) and plain words alike.
 */
import { nearest, Random, UserError } from '@astrolabe/base';
import {
  type InstanceView,
  type RoutedRequest,
  type RouterState,
  type RoutingFunction,
  type RoutingPolicy,
  routingPolicies,
} from './routing/policies.js';

export type { InstanceView, RoutedRequest, RoutingFunction, RoutingPolicy };
export { routingPolicies };

const aliases: Record<string, RoutingPolicy> = {
  rr: 'round-robin',
  roundrobin: 'round-robin',
  rand: 'random',
  load: 'least-loaded',
  leastloaded: 'least-loaded',
  jsq: 'shortest-queue',
  shortestqueue: 'shortest-queue',
  prefixaware: 'prefix-aware',
  cacheaware: 'prefix-aware',
  sessionaffine: 'session-affine',
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

export class Router {
  private readonly policy: RoutingFunction;
  private readonly state: RouterState;

  /** @param purpose names its random stream: routers of one run draw independently */
  constructor(policy: RoutingPolicy | RoutingFunction, seed: number, purpose = 'router') {
    this.policy = typeof policy === 'function' ? policy : routingPolicies[policy];
    this.state = {
      cursor: 0,
      random: new Random(seed, purpose),
      sessions: new Map(),
      memory: new Map(),
    };
  }

  /** @throws UserError when a user's policy names no candidate */
  choose<T extends InstanceView>(candidates: readonly T[], request: RoutedRequest): T {
    const position = this.policy(candidates, request, this.state);
    const chosen = candidates[position];
    if (chosen === undefined) {
      throw new UserError(
        `the routing policy answered ${position} for request ${request.index}: there are ` +
          `${candidates.length} candidates, numbered from 0`,
      );
    }
    return chosen;
  }
}
