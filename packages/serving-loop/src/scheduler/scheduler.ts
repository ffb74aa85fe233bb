/**
 * Continuous batching as vLLM V1's scheduler decides it: running requests first, in order of
 * admission, then waiting ones while budget and seats last; chunked prefill; preemption with
 * recompute. Who waits in front and who has to go: `queue-order.ts`. With asynchronous scheduling a
 * step is composed while its predecessor runs, so tokens in flight count as placeholders.
 */
import type { EngineOptions } from '@astrolabe/config';
import type { KvCacheManager } from '../kv/kv-cache-manager.js';
import type { KvTiers, Recall } from '../kv/kv-tiers.js';
import type { ParkedRecall } from '../kv/tier-traffic.js';
import { type RequestState, RequestStatus } from '../request-state.js';
import { type Batch, emptyBatch, type Reservation, withdraw } from './batch.js';
import { KeptOut } from './kept-out.js';
import { type QueueOrder, queueOrders } from './queue-order.js';
import { Acceptance, draftsFor } from './speculation.js';

export class Scheduler {
  readonly running: RequestState[] = [];
  readonly waiting: RequestState[] = [];
  /** Requests whose blocks are reserved and whose KV is on its way. */
  numAwaitingKv = 0;
  /** Requests whose KV has come and that wait for a seat; they need no further admission. */
  readonly ready: RequestState[] = [];
  preemptions = 0;
  readonly keptOut: KeptOut;
  private reservationsMade = 0;
  /** Reservations made since `takeReservations`. */
  private reservations: Reservation[] = [];
  /** Recalls begun since `takeRecalls`. */
  private startedRecalls: ParkedRecall[] = [];
  private readonly options: EngineOptions;
  private readonly kv: KvCacheManager;
  private readonly decodeAhead: boolean;
  private readonly tiers: KvTiers | undefined;
  private readonly order: QueueOrder;
  /** Undefined: one token per decode and step. */
  readonly acceptance: Acceptance | undefined;

  /**
   * @param decodeAhead a request may be in several batches in flight: its next input token never
   * leaves the device (asynchronous scheduling without pipeline stages)
   */
  constructor(options: EngineOptions, kv: KvCacheManager, decodeAhead: boolean, tiers?: KvTiers) {
    this.options = options;
    this.keptOut = new KeptOut(options);
    this.kv = kv;
    this.decodeAhead = decodeAhead;
    this.tiers = tiers;
    this.order = queueOrders[options.schedulingPolicy];
    const { speculation } = options;
    this.acceptance = speculation === undefined ? undefined : new Acceptance(speculation);
  }

  get hasRequests(): boolean {
    return this.running.length > 0 || this.waiting.length > 0 || this.ready.length > 0;
  }

  add(request: RequestState): void {
    request.status = RequestStatus.waiting;
    this.order.add(this.waiting, request);
  }

  /** Composes the next step. Its batch may be empty. */
  schedule(nowNs: number): Batch {
    const batch = emptyBatch();
    const preemptionsBefore = this.preemptions;
    let budget = this.scheduleRunning(batch);
    if (this.preemptions === preemptionsBefore) {
      budget = this.scheduleReady(batch, budget, nowNs);
      if (this.ready.length === 0) this.scheduleWaiting(batch, budget, nowNs);
    }
    const isAnyWaiting = this.waiting.length > 0 || this.ready.length > 0;
    const preempted = this.preemptions > preemptionsBefore;
    this.keptOut.count(batch, isAnyWaiting, this.running.length, preempted);
    return batch;
  }

  private scheduleRunning(batch: Batch): number {
    let budget = this.options.maxNumBatchedTokens;
    for (let i = 0; i < this.running.length && budget > 0; i++) {
      const request = this.running[i];
      if (request.isFullyScheduled) continue;
      // Without look-ahead a token in flight must be known before the next can be computed.
      const known = request.numTokens + (this.decodeAhead ? request.numPlaceholders : 0);
      const missing = known - request.numComputedTokens;
      const drafts = missing === 1 ? draftsFor(this.options, request, budget) : 0;
      const tokens = this.chunk(missing, budget) + drafts;
      if (tokens <= 0) continue;
      const preemptionsBefore = this.preemptions;
      const refund = this.allocateOrPreempt(batch, request, tokens);
      if (refund < 0) break;
      this.take(batch, request, tokens, drafts);
      budget += refund - tokens;
      // Victims may have stood before it.
      if (this.preemptions !== preemptionsBefore) i = this.running.indexOf(request);
    }
    return budget;
  }

  /**
   * Makes room by preempting. A victim that this step has scheduled already leaves it.
   * @returns tokens given back to the budget; -1 when the request itself had to go
   */
  private allocateOrPreempt(batch: Batch, request: RequestState, tokens: number): number {
    let refund = 0;
    while (!this.kv.allocate(request, tokens, 0, false)) {
      const [victim] = this.running.splice(this.order.victim(this.running), 1);
      refund += withdraw(batch, victim);
      this.preempt(victim);
      if (victim === request) return -1;
    }
    return refund;
  }

  private preempt(victim: RequestState): void {
    this.kv.remember(victim, this.decodeAhead ? victim.numPlaceholders : 0);
    this.kv.free(victim);
    victim.status = RequestStatus.preempted;
    victim.numComputedTokens = 0;
    victim.preemptions++;
    this.preemptions++;
    this.order.putBack(this.waiting, victim);
  }

  /**
   * Requests whose KV has come go first: they hold blocks, so letting others pass could leave the
   * pool full of blocks that nobody uses.
   */
  private scheduleReady(batch: Batch, budgetLeft: number, nowNs: number): number {
    let budget = budgetLeft;
    while (this.ready.length > 0 && budget > 0) {
      if (this.running.length >= this.options.maxNumSeqs) break;
      const request = this.ready[0];
      const tokens = this.chunk(request.numTokens - request.numComputedTokens, budget);
      if (!this.kv.allocate(request, tokens, 0, false)) {
        // With nobody running, nobody would ever make room: the youngest gives up its KV.
        if (this.running.length === 0) this.preempt(this.ready.pop() as RequestState);
        break;
      }
      this.ready.shift();
      request.status = RequestStatus.running;
      if (request.scheduledNs < 0) request.scheduledNs = nowNs;
      this.running.push(request);
      this.take(batch, request, tokens);
      budget -= tokens;
    }
    return budget;
  }

  /** The KV of a reserved request has come: all of it but what is still to be computed. */
  kvReady(request: RequestState, computedTokens: number): void {
    this.numAwaitingKv--;
    request.status = RequestStatus.waiting;
    if (request.abortPending) {
      this.abort(request);
      return;
    }
    request.numComputedTokens = computedTokens;
    this.kv.cacheFullBlocks(request, Math.min(computedTokens, request.numTokens));
    // In order of their reservations, whichever came first.
    let at = this.ready.length;
    while (at > 0 && this.ready[at - 1].reservation > request.reservation) at--;
    this.ready.splice(at, 0, request);
  }

  private awaitKv(request: RequestState): void {
    request.status = RequestStatus.waitingForRemoteKv;
    request.reservation = this.reservationsMade++;
    this.numAwaitingKv++;
  }

  /** Blocks for all of the prompt, before its KV comes; false when they are not free. */
  private reserve(request: RequestState): boolean {
    const hitTokens = this.kv.findComputedTokens(request);
    const missing = request.promptTokens - hitTokens;
    if (!this.kv.allocate(request, missing, hitTokens, true, false)) return false;
    this.awaitKv(request);
    request.needsRemoteKv = false;
    this.reservations.push({ request, hitTokens });
    return true;
  }

  private scheduleWaiting(batch: Batch, budgetLeft: number, nowNs: number): void {
    let budget = budgetLeft;
    while (this.waiting.length > 0 && budget > 0) {
      if (this.running.length >= this.options.maxNumSeqs) break;
      const request = this.waiting[0];
      if (request.needsRemoteKv) {
        if (!this.reserve(request)) break;
        this.waiting.shift();
        continue;
      }
      // Preempted with a token in flight: its sequence is not known yet.
      if (!this.decodeAhead && request.numPlaceholders > 0) break;
      const hitTokens = this.kv.findComputedTokens(request);
      const recall = this.tiers?.find(request, hitTokens);
      if (recall !== undefined && !recall.blocking) {
        if (!this.park(request, hitTokens, recall)) break;
        this.waiting.shift();
        continue;
      }
      const foundTokens = hitTokens + (recall?.tokens ?? 0);
      const wanted = this.chunk(request.numTokens - foundTokens);
      if (!this.options.enableChunkedPrefill && this.waitsForBudget(wanted, budget)) break;
      const tokens = Math.min(wanted, budget);
      const fresh = foundTokens - hitTokens + tokens;
      if (!this.kv.allocate(request, fresh, hitTokens, this.options.reserveFullIsl)) break;
      this.waiting.shift();
      if (recall !== undefined) {
        this.tiers?.beginRecall(recall);
        batch.recalls ??= [];
        batch.recalls.push(recall);
      }
      this.countHits(request, hitTokens, recall);
      this.admit(request, foundTokens, nowNs);
      this.take(batch, request, tokens);
      budget -= tokens;
    }
  }

  /**
   * Blocks for what a tier below holds of the request, whose recall begins; the batch goes on. False
   * when they are not free.
   */
  private park(request: RequestState, hitTokens: number, recall: Recall): boolean {
    const { reserveFullIsl } = this.options;
    if (!this.kv.allocate(request, recall.tokens, hitTokens, reserveFullIsl, false)) return false;
    const computedTokens = hitTokens + recall.tokens;
    this.tiers?.beginRecall(recall);
    this.countHits(request, hitTokens, recall);
    this.awaitKv(request);
    this.startedRecalls.push({ request, recall, computedTokens });
    return true;
  }

  /** Requests that need remote KV and got their blocks since the last call. */
  takeReservations(): readonly Reservation[] {
    const made = this.reservations;
    if (made.length > 0) this.reservations = [];
    return made;
  }

  /** Recalls begun since the last call. */
  takeRecalls(): readonly ParkedRecall[] {
    const started = this.startedRecalls;
    if (started.length > 0) this.startedRecalls = [];
    return started;
  }

  /** Device and tier hits, at first admission only; after a preemption, what is computed again. */
  private countHits(request: RequestState, hitTokens: number, recall: Recall | undefined): void {
    const tierTokens = recall?.tokens ?? 0;
    if (request.status === RequestStatus.preempted) {
      request.recomputedTokens += request.numTokens - hitTokens - tierTokens;
      return;
    }
    request.prefixHitTokens = hitTokens;
    request.tierHitTokens = tierTokens;
    this.kv.queryTokens += request.promptTokens;
    this.kv.hitTokens += hitTokens;
    this.tiers?.count(request, recall);
  }

  private admit(request: RequestState, hitTokens: number, nowNs: number): void {
    request.status = RequestStatus.running;
    request.numComputedTokens = hitTokens;
    if (request.scheduledNs < 0) request.scheduledNs = nowNs;
    this.running.push(request);
  }

  private take(batch: Batch, request: RequestState, tokens: number, drafts = 0): void {
    const known = request.numTokens + request.numPlaceholders;
    batch.requests.push(request);
    batch.newTokens.push(tokens);
    batch.contextTokens.push(request.numComputedTokens);
    request.numComputedTokens += tokens;
    const samples = request.numComputedTokens >= known;
    batch.samples.push(samples);
    if (samples) {
      request.numPlaceholders += 1 + drafts;
      request.numSamplesInFlight++;
    }
    if (this.acceptance === undefined) return;
    batch.drafts ??= [];
    batch.drafts.push(drafts);
    batch.lives ??= [];
    batch.lives.push(request.preemptions);
  }

  /**
   * Prompts stay whole, except that a preempted request may have outgrown the budget; it could never
   * come back otherwise.
   */
  private waitsForBudget(remaining: number, budget: number): boolean {
    return remaining > budget && (remaining <= this.options.maxNumBatchedTokens || budget === 0);
  }

  private chunk(tokens: number, budget = Number.POSITIVE_INFINITY): number {
    const threshold = this.options.longPrefillTokenThreshold;
    const capped = threshold > 0 ? Math.min(tokens, threshold) : tokens;
    return Math.min(capped, budget);
  }

  /**
   * Takes in the output of a finished step: tokens appended, blocks made findable, finished requests
   * freed.
   * @param nowNs when the engine knows them
   * @param seenNs when clients do
   * @param onFinished called for each request whose last token this was
   */
  update(
    batch: Batch,
    nowNs: number,
    onFinished: (request: RequestState) => void,
    seenNs = nowNs,
  ): void {
    let anyFinished = false;
    for (let i = 0; i < batch.requests.length; i++) {
      if (!batch.samples[i]) continue;
      const request = batch.requests[i];
      if (request.hasEnded) {
        // It ended by surprise while this step ran: the row was computed for nothing.
        batch.samples[i] = false;
        continue;
      }
      this.append(batch, i, request);
      const stampNs = request.isPrefillLeg ? nowNs : seenNs;
      request.lastTokenNs = stampNs;
      if (request.firstTokenNs < 0) request.firstTokenNs = stampNs;
      if (request.numOutputTokens < request.outputTokens) {
        if (request.status === RequestStatus.running) {
          const ahead = this.decodeAhead ? request.numPlaceholders : 0;
          const known = request.numComputedTokens - ahead;
          this.kv.cacheFullBlocks(request, Math.min(known, request.numTokens));
        }
        continue;
      }
      this.finish(request, stampNs);
      anyFinished = true;
      onFinished(request);
    }
    if (anyFinished) this.dropFinished();
  }

  /** The tokens a step gave one request: one, or with speculation those accepted and one more. */
  private append(batch: Batch, i: number, request: RequestState): void {
    const drafts = batch.drafts?.[i] ?? 0;
    const accepted = drafts > 0 ? (this.acceptance?.accept(request.index, drafts) ?? 0) : 0;
    const gained = Math.min(1 + accepted, request.outputTokens - request.numOutputTokens);
    request.numPlaceholders -= 1 + drafts;
    request.numSamplesInFlight--;
    request.numOutputTokens += gained;
    if (batch.drafts === undefined) return;
    batch.gained ??= new Array(batch.requests.length).fill(0);
    batch.gained[i] = gained;
    // What was rejected was not computed, unless a preemption has forgotten it already.
    if (batch.lives?.[i] !== request.preemptions) return;
    request.numComputedTokens -= drafts - accepted;
  }

  /**
   * The client went away: the request leaves wherever it is, and rows in flight come to nothing.
   * While its KV is on the way it stays until that has come.
   */
  abort(request: RequestState): void {
    if (request.hasEnded) return;
    if (request.status === RequestStatus.waitingForRemoteKv) {
      request.abortPending = true;
      return;
    }
    for (const list of [this.running, this.waiting, this.ready]) {
      const at = list.indexOf(request);
      if (at >= 0) list.splice(at, 1);
    }
    request.status = RequestStatus.aborted;
    this.kv.free(request);
    this.acceptance?.forget(request.index);
  }

  private finish(request: RequestState, nowNs: number): void {
    this.acceptance?.forget(request.index);
    // A request preempted while its last step was in flight finishes from the waiting queue.
    if (request.status === RequestStatus.preempted) {
      this.waiting.splice(this.waiting.indexOf(request), 1);
    }
    request.status = RequestStatus.finished;
    request.finishNs = nowNs;
    if (!request.pinsBlocks) this.kv.free(request);
  }

  private dropFinished(): void {
    let kept = 0;
    for (const request of this.running) {
      if (request.status !== RequestStatus.finished) this.running[kept++] = request;
    }
    this.running.length = kept;
  }
}
