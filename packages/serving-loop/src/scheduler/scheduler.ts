/**
 * Continuous batching as vLLM V1's scheduler decides it (FCFS): running requests first, in order of
 * admission, then waiting ones while budget and seats last; chunked prefill; preemption from the tail
 * with recompute. With asynchronous scheduling a step is composed while its predecessor runs, so
 * tokens in flight count as placeholders.
 */
import type { EngineOptions } from '@astrolabe/config';
import type { KvCacheManager } from '../kv/kv-cache-manager.js';
import { type RequestState, RequestStatus } from '../request-state.js';

/** What one step computes. Parallel arrays in batch order. */
export interface Batch {
  readonly requests: RequestState[];
  readonly newTokens: number[];
  readonly contextTokens: number[];
  /** Whether the request's last token is computed, so that it yields an output token. */
  readonly samples: boolean[];
}

export class Scheduler {
  readonly running: RequestState[] = [];
  readonly waiting: RequestState[] = [];
  preemptions = 0;
  private readonly options: EngineOptions;
  private readonly kv: KvCacheManager;
  private readonly decodeAhead: boolean;

  /**
   * @param decodeAhead a request may be in several batches in flight: its next input token never
   * leaves the device (asynchronous scheduling without pipeline stages)
   */
  constructor(options: EngineOptions, kv: KvCacheManager, decodeAhead: boolean) {
    this.options = options;
    this.kv = kv;
    this.decodeAhead = decodeAhead;
  }

  get hasRequests(): boolean {
    return this.running.length > 0 || this.waiting.length > 0;
  }

  add(request: RequestState): void {
    request.status = RequestStatus.waiting;
    this.waiting.push(request);
  }

  /** Composes the next step. Its batch may be empty. */
  schedule(nowNs: number): Batch {
    const batch: Batch = { requests: [], newTokens: [], contextTokens: [], samples: [] };
    const preemptionsBefore = this.preemptions;
    const budget = this.scheduleRunning(batch);
    if (this.preemptions === preemptionsBefore) this.scheduleWaiting(batch, budget, nowNs);
    return batch;
  }

  private scheduleRunning(batch: Batch): number {
    let budget = this.options.maxNumBatchedTokens;
    for (let i = 0; i < this.running.length && budget > 0; i++) {
      const request = this.running[i];
      if (request.isFullyScheduled) continue;
      const tokens = this.chunk(
        request.numTokens + request.numPlaceholders - request.numComputedTokens,
        budget,
      );
      if (tokens <= 0) continue;
      if (!this.allocateOrPreempt(request, tokens)) break;
      this.take(batch, request, tokens);
      budget -= tokens;
    }
    return budget;
  }

  /** Makes room by preempting from the tail; false when the request itself had to go. */
  private allocateOrPreempt(request: RequestState, tokens: number): boolean {
    while (!this.kv.allocate(request, tokens, 0, false)) {
      const victim = this.running.pop() as RequestState;
      this.preempt(victim);
      if (victim === request) return false;
    }
    return true;
  }

  private preempt(victim: RequestState): void {
    this.kv.free(victim);
    victim.status = RequestStatus.preempted;
    victim.numComputedTokens = 0;
    victim.preemptions++;
    this.preemptions++;
    this.waiting.unshift(victim);
  }

  private scheduleWaiting(batch: Batch, budgetLeft: number, nowNs: number): void {
    let budget = budgetLeft;
    while (this.waiting.length > 0 && budget > 0) {
      if (this.running.length >= this.options.maxNumSeqs) break;
      const request = this.waiting[0];
      const hitTokens = this.kv.findComputedTokens(request);
      const remaining = request.numTokens - hitTokens;
      if (!this.options.enableChunkedPrefill && remaining > budget) break;
      const tokens = this.chunk(remaining, budget);
      if (!this.kv.allocate(request, tokens, hitTokens, this.options.reserveFullIsl)) break;
      this.waiting.shift();
      this.admit(request, hitTokens, nowNs);
      this.take(batch, request, tokens);
      budget -= tokens;
    }
  }

  private admit(request: RequestState, hitTokens: number, nowNs: number): void {
    if (request.status === RequestStatus.preempted) {
      request.recomputedTokens += request.numTokens - hitTokens;
    } else {
      request.prefixHitTokens = hitTokens;
    }
    request.status = RequestStatus.running;
    request.numComputedTokens = hitTokens;
    if (request.scheduledNs < 0) request.scheduledNs = nowNs;
    this.running.push(request);
  }

  private take(batch: Batch, request: RequestState, tokens: number): void {
    const known = request.numTokens + request.numPlaceholders;
    batch.requests.push(request);
    batch.newTokens.push(tokens);
    batch.contextTokens.push(request.numComputedTokens);
    request.numComputedTokens += tokens;
    const samples = request.numComputedTokens >= known;
    batch.samples.push(samples);
    if (samples && this.decodeAhead) request.numPlaceholders++;
  }

  private chunk(tokens: number, budget: number): number {
    const threshold = this.options.longPrefillTokenThreshold;
    const capped = threshold > 0 ? Math.min(tokens, threshold) : tokens;
    return Math.min(capped, budget);
  }

  /**
   * Takes in the output of a finished step: tokens appended, blocks made findable, finished requests
   * freed.
   * @param onFinished called for each request whose last token this was
   */
  update(batch: Batch, nowNs: number, onFinished: (request: RequestState) => void): void {
    let anyFinished = false;
    for (let i = 0; i < batch.requests.length; i++) {
      if (!batch.samples[i]) continue;
      const request = batch.requests[i];
      if (this.decodeAhead) request.numPlaceholders--;
      request.numOutputTokens++;
      request.lastTokenNs = nowNs;
      if (request.firstTokenNs < 0) request.firstTokenNs = nowNs;
      if (request.numOutputTokens < request.outputTokens) {
        if (request.status === RequestStatus.running) {
          const known = request.numComputedTokens - request.numPlaceholders;
          this.kv.cacheFullBlocks(request, Math.min(known, request.numTokens));
        }
        continue;
      }
      this.finish(request, nowNs);
      anyFinished = true;
      onFinished(request);
    }
    if (anyFinished) this.dropFinished();
  }

  private finish(request: RequestState, nowNs: number): void {
    // A request preempted while its last step was in flight finishes from the waiting queue.
    if (request.status === RequestStatus.preempted) {
      this.waiting.splice(this.waiting.indexOf(request), 1);
    }
    request.status = RequestStatus.finished;
    request.finishNs = nowNs;
    this.kv.free(request);
  }

  private dropFinished(): void {
    let kept = 0;
    for (const request of this.running) {
      if (request.status !== RequestStatus.finished) this.running[kept++] = request;
    }
    this.running.length = kept;
  }
}
