/**
 * Routing policies: which instance serves a request. Each is a function over the instances that can
 * serve it (never empty) and returns a position in that list. A policy sees what a real router sees:
 * queue lengths, prompt tokens handed over, cache contents; never how long an answer will be.
 */
import type { Random } from '@astrolabe/base';

/** What a policy may know of an instance. User modules get exactly this. */
export interface InstanceView {
  /** Position in the cluster file. */
  readonly index: number;
  readonly name: string;
  readonly hardware: string;
  readonly role: 'colocated' | 'prefill' | 'decode';
  /** Requests that hold no seat yet. */
  readonly numWaiting: number;
  /** Requests that hold a seat in the batch. */
  readonly numRunning: number;
  readonly maxNumSeqs: number;
  /** Prompt tokens of requests handed to it that have no first token yet. */
  readonly queuedTokens: number;
  /** Share of KV blocks in use, 0..1. */
  readonly kvUsage: number;
  /** Relative speed: `router_weight` of the cluster file, else its devices' memory bandwidth, GB/s. */
  readonly weight: number;
}

/** What a policy may know of a request. */
export interface RoutedRequest {
  /** Position in the workload. */
  readonly index: number;
  readonly promptTokens: number;
  /** Equal for the turns of one conversation. */
  readonly session: string;
  /** Leading prompt tokens whose KV candidate `position` holds already. */
  prefixHitTokens(position: number): number;
}

export interface RouterState {
  /** The policy's own counter. */
  cursor: number;
  readonly random: Random;
  /** Instance index by session, for policies that keep one. */
  readonly sessions: Map<string, number>;
  /** Anything else a user module wants to remember over a run. */
  readonly memory: Map<string, unknown>;
}

export type RoutingFunction = (
  candidates: readonly InstanceView[],
  request: RoutedRequest,
  state: RouterState,
) => number;

/** SGLang's cache-aware router: defaults of its balance and cache thresholds. */
const prefixAware = { minHitShare: 0.3, maxImbalance: 64, maxImbalanceRatio: 1.5 } as const;

export const routingPolicies = {
  'round-robin': (candidates, _request, state) => state.cursor++ % candidates.length,
  random: (candidates, _request, state) => state.random.below(candidates.length),
  'least-loaded': leastLoaded,
  'shortest-queue': (candidates, _request, state) =>
    leastBy(candidates, state, (instance) => instance.queuedTokens + instance.numRunning),
  'prefix-aware': prefixAwareChoice,
  'session-affine': sessionAffine,
  weighted: (candidates, _request, state) =>
    leastBy(
      candidates,
      state,
      (instance) => (instance.numWaiting + instance.numRunning + 1) / instance.weight,
    ),
} satisfies Record<string, RoutingFunction>;

export type RoutingPolicy = keyof typeof routingPolicies;

/**
 * vLLM's data-parallel balancer: least 4 x waiting + running, here over the seats so that unequal
 * instances compare; ties go to the next one in turn.
 */
function leastLoaded(
  candidates: readonly InstanceView[],
  _request: RoutedRequest,
  state: RouterState,
): number {
  return leastBy(
    candidates,
    state,
    (instance) => (4 * instance.numWaiting + instance.numRunning) / instance.maxNumSeqs,
  );
}

/** The instance with the longest cached prefix, unless it is short or that instance is swamped. */
function prefixAwareChoice(
  candidates: readonly InstanceView[],
  request: RoutedRequest,
  state: RouterState,
): number {
  let best = 0;
  let bestHits = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < candidates.length; i++) {
    const hits = request.prefixHitTokens(i);
    const load = loadOf(candidates[i]);
    least = Math.min(least, load);
    if (hits > bestHits || (hits === bestHits && load < loadOf(candidates[best]))) {
      best = i;
      bestHits = hits;
    }
  }
  const load = loadOf(candidates[best]);
  const swamped =
    load - least > prefixAware.maxImbalance && load > prefixAware.maxImbalanceRatio * least;
  if (swamped || bestHits < prefixAware.minHitShare * request.promptTokens) {
    return leastLoaded(candidates, request, state);
  }
  return best;
}

function loadOf(instance: InstanceView): number {
  return instance.numWaiting + instance.numRunning;
}

/** Every turn of a conversation goes where its first one went; that goes to the least loaded. */
function sessionAffine(
  candidates: readonly InstanceView[],
  request: RoutedRequest,
  state: RouterState,
): number {
  const home = state.sessions.get(request.session);
  const known = home === undefined ? -1 : candidates.findIndex(({ index }) => index === home);
  if (known >= 0) return known;
  const chosen = leastLoaded(candidates, request, state);
  state.sessions.set(request.session, candidates[chosen].index);
  return chosen;
}

/** The least score; among equals the first from the cursor on, which then moves behind it. */
function leastBy(
  candidates: readonly InstanceView[],
  state: RouterState,
  score: (instance: InstanceView) => number,
): number {
  let best = 0;
  let bestScore = Number.POSITIVE_INFINITY;
  for (let i = 0; i < candidates.length; i++) {
    const position = (state.cursor + i) % candidates.length;
    const value = score(candidates[position]);
    if (value < bestScore) {
      bestScore = value;
      best = position;
    }
  }
  state.cursor = best + 1;
  return best;
}
