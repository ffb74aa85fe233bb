/** One step as the scheduler composes it. */
import type { Recall } from '../kv/kv-tiers.js';
import type { RequestState } from '../request-state.js';

/** What one step computes. Parallel arrays in batch order. */
export interface Batch {
  readonly requests: RequestState[];
  readonly newTokens: number[];
  readonly contextTokens: number[];
  /** Whether the request's last token is computed, so that it yields an output token. */
  readonly samples: boolean[];
  /** KV from below the device that the batch waits for. */
  recalls?: Recall[];
  /** With speculation: draft tokens verified per request, and tokens gained, once known. */
  drafts?: number[];
  gained?: number[];
  /** With speculation: preemptions of the request when it was scheduled. */
  lives?: number[];
}

/** Blocks for a request whose KV comes from elsewhere; `hitTokens` of it are there already. */
export interface Reservation {
  readonly request: RequestState;
  readonly hitTokens: number;
}

export function emptyBatch(): Batch {
  return { requests: [], newTokens: [], contextTokens: [], samples: [] };
}

/**
 * Takes a request out of a step that is being composed.
 * @returns its tokens, for the budget
 */
export function withdraw(batch: Batch, victim: RequestState): number {
  const at = batch.requests.indexOf(victim);
  if (at < 0) return 0;
  const tokens = batch.newTokens[at];
  if (batch.samples[at]) {
    victim.numPlaceholders -= 1 + (batch.drafts?.[at] ?? 0);
    victim.numSamplesInFlight--;
  }
  batch.requests.splice(at, 1);
  for (const column of [batch.newTokens, batch.contextTokens, batch.drafts, batch.lives]) {
    column?.splice(at, 1);
  }
  batch.samples.splice(at, 1);
  return tokens;
}
