/**
 * From the engine to the client: tokens of all engines pass one API process, which detokenises them
 * one after another, and travel on. Counted in order of the steps' ends.
 */
import type { OutputPath } from '@astrolabe/config';

export class OutputQueue {
  private readonly terms: OutputPath | undefined;
  private freeNs = 0;

  constructor(terms: OutputPath | undefined) {
    this.terms = terms;
  }

  /** @returns when the client has a step's tokens */
  seenAt(knownNs: number, numTokens: number): number {
    if (this.terms === undefined) return knownNs;
    const { delay_ns: delayNs, detokenise_per_token_ns: perToken } = this.terms;
    this.freeNs = Math.max(knownNs, this.freeNs) + numTokens * perToken;
    return Math.round(this.freeNs + delayNs);
  }
}
