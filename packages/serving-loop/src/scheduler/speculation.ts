/**
 * How many draft tokens a verification accepts: each with the given chance as long as those before it
 * were, so that a mean of p + p^2 + ... + p^k is accepted. Drawn per request, so that one request's luck
 * does not depend on its company.
 */
import { Random } from '@astrolabe/base';
import type { EngineOptions, SpeculationOptions } from '@astrolabe/config';
import type { RequestState } from '../request-state.js';

/** Draft tokens to verify with a decode: as many as budget and context allow. */
export function draftsFor(options: EngineOptions, request: RequestState, budget: number): number {
  const { speculation, maxModelLen = Number.POSITIVE_INFINITY } = options;
  // A draft follows a token of the model's own.
  const decoding = request.numOutputTokens + request.numPlaceholders > 0;
  if (speculation === undefined || !decoding) return 0;
  const room = maxModelLen - 1 - request.numTokens - request.numPlaceholders;
  return Math.max(0, Math.min(speculation.tokens, budget - 1, room));
}

export class Acceptance {
  /** Draft tokens verified and accepted. */
  drafted = 0;
  accepted = 0;
  private readonly chance: number;
  private readonly draws = new Map<number, Random>();

  constructor(options: SpeculationOptions) {
    this.chance = options.acceptance;
  }

  /** @param request its index seeds the draws */
  accept(request: number, drafts: number): number {
    let random = this.draws.get(request);
    if (random === undefined) {
      random = new Random(request, 'speculation');
      this.draws.set(request, random);
    }
    let accepted = 0;
    while (accepted < drafts && random.uniform() < this.chance) accepted++;
    this.drafted += drafts;
    this.accepted += accepted;
    return accepted;
  }

  forget(request: number): void {
    this.draws.delete(request);
  }
}
