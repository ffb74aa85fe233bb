/**
 * One serving engine: the loop of vLLM V1's engine core around the scheduler. New requests enter only
 * at the top of a turn; up to `depth` batches are in flight; with the queue full the engine blocks on
 * the oldest batch. So under asynchronous scheduling the batch after next is composed when a batch
 * ends, one batch ahead (asynchronous scheduling of vLLM's `EngineCore`).
 */
import { assert, Random } from '@astrolabe/base';
import {
  type HostStep,
  type Instance,
  type InstanceRole,
  type MemoryBudget,
  memoryBudget,
} from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import type { WaveGroup } from './dp/wave-group.js';
import { createHostClock, type HostClock } from './host/host-clock.js';
import { KvCacheManager } from './kv/kv-cache-manager.js';
import type { KvTiers } from './kv/kv-tiers.js';
import { TierTraffic } from './kv/tier-traffic.js';
import { type KvNews, KvNewsBox, noNews } from './pd/kv-news.js';
import type { RequestState } from './request-state.js';
import type { InstanceView } from './routing/policies.js';
import { type Batch, emptyBatch, type Reservation } from './scheduler/batch.js';
import { Scheduler } from './scheduler/scheduler.js';

export interface EngineEvents {
  submit(iteration: Iteration, batch: Batch): void;
  /** KV between this engine's devices and a tier below them. */
  move(iteration: Iteration): void;
  /** When clients have tokens that the engine knows of. */
  seenAt(knownNs: number, numTokens: number): number;
  finished(request: RequestState, nowNs: number): void;
  /** Requests that need remote KV have their blocks. */
  reserved(reservations: readonly Reservation[], nowNs: number): void;
}

/** What a calibration says of the engine's host; nothing: it takes no time. */
interface EngineHost {
  readonly warmUpNs: number;
  readonly step?: HostStep | undefined;
}

interface InFlight {
  readonly batch: Batch;
  /** What its worker found when it looked, as this step was launched: its end reports it. */
  readonly polled: readonly KvNews[];
}

export class InstanceEngine implements InstanceView {
  readonly instance: Instance;
  readonly budget: MemoryBudget;
  readonly kv: KvCacheManager;
  readonly scheduler: Scheduler;
  /** Batches submitted and not yet done, oldest first. */
  readonly inFlight: InFlight[] = [];
  /** Prompt tokens of requests handed over that have no first token yet. */
  queuedTokens = 0;
  /** Undefined: the device is the only tier. */
  readonly traffic: TierTraffic | undefined;
  /** Set once, when this engine steps together with others that share its experts. */
  wave: WaveGroup | undefined;
  /** When clients had the tokens of the last step that was taken in. */
  seenNs = 0;
  private readonly inbox: RequestState[] = [];
  private aborts: RequestState[] = [];
  private readonly kvNews = new KvNewsBox();
  private readonly depth: number;
  private readonly events: EngineEvents;
  private readonly warmUpNs: number;
  private readonly host: HostClock;
  private iterations = 0;
  private nowNs = 0;
  /**
   * It looked for work for its next step and found none: that step will be a dummy, unless all stop
   * before. The run of the group (`WaveGroup.run`) in which it did.
   */
  private owesDummyIn = -1;
  /**
   * A step that is launched when all members launch theirs; until then the engine does nothing else.
   * With several processes only dummies are: launches of batches are the workers'. -1: none.
   */
  private waitingLaunch = -1;
  /** A completion is being taken in or a turn is on: what happens meanwhile is seen in this turn. */
  private busy = false;

  constructor(instance: Instance, events: EngineEvents, host: EngineHost, tiers?: KvTiers) {
    this.instance = instance;
    this.events = events;
    this.warmUpNs = host.warmUpNs;
    this.host = createHostClock(instance, host.step);
    this.budget = memoryBudget(instance);
    const { engine, pp, model, kvGroups } = instance;
    this.kv = new KvCacheManager({
      numBlocks: this.budget.numBlocks,
      blockSize: engine.blockSize,
      prefixCaching: engine.enablePrefixCaching,
      window: kvGroups === undefined ? model.slidingWindow : model.localAttention?.span,
      groups: kvGroups,
      maxStepTokens: engine.maxNumBatchedTokens,
    });
    this.depth = pp > 1 ? pp : engine.asyncScheduling ? 2 : 1;
    const decodeAhead = engine.asyncScheduling && pp === 1;
    this.scheduler = new Scheduler(engine, this.kv, decodeAhead, tiers);
    this.traffic =
      tiers === undefined
        ? undefined
        : new TierTraffic(instance, tiers, (iteration) => events.move(iteration));
  }

  get index(): number {
    return this.instance.index;
  }

  get name(): string {
    return this.instance.name;
  }

  get hardware(): string {
    return this.instance.hardware;
  }

  get role(): InstanceRole {
    return this.instance.role;
  }

  /** Requests that do not run yet: what routers call the waiting queue. */
  get numWaiting(): number {
    const { waiting, ready, numAwaitingKv } = this.scheduler;
    return this.inbox.length + waiting.length + ready.length + numAwaitingKv;
  }

  get numRunning(): number {
    return this.scheduler.running.length;
  }

  get maxNumSeqs(): number {
    return this.instance.engine.maxNumSeqs;
  }

  get kvUsage(): number {
    return this.kv.pool.usage;
  }

  get weight(): number {
    const { routerWeight, stageMemory, memory, npus, tp } = this.instance;
    if (routerWeight !== undefined) return routerWeight;
    if (stageMemory === undefined) return memory.bandwidthGBps * npus.length;
    return stageMemory.reduce((sum, { bandwidthGBps }) => sum + tp * bandwidthGBps, 0);
  }

  /** Number of the next step. */
  get nextIteration(): number {
    return this.iterations;
  }

  get isIdle(): boolean {
    return this.inFlight.length === 0 && this.numWaiting === 0 && this.numRunning === 0;
  }

  /**
   * A request reaches the engine's input queue. Call `start` when all that come at this time are
   * there: the loop takes in everything that has arrived before it composes.
   */
  enqueue(request: RequestState): void {
    request.instance = this.instance.index;
    const { eosShare } = this.instance.engine;
    if (eosShare > 0 && !request.isPrefillLeg) {
      request.endsByEos = new Random(request.index, 'eos').uniform() < eosShare;
    }
    this.queuedTokens += request.promptTokens;
    this.inbox.push(request);
  }

  /** An engine that waits for work starts on what has reached its input queue. */
  start(nowNs: number): void {
    if (this.inbox.length > 0) this.wake(nowNs);
  }

  /**
   * The KV that a request of this engine waited for has come, all but what is still to be computed.
   * A worker looks for arrivals once a step and its answer comes with the step's output, so under
   * load the request can run one or two steps later.
   */
  kvArrived(request: RequestState, computedTokens: number, nowNs: number): void {
    this.kvNews.add({ request, computedTokens });
    this.wake(nowNs);
  }

  /** The client of a request went away; the engine hears of it at its next turn. */
  abort(request: RequestState, nowNs: number): void {
    this.aborts.push(request);
    this.wake(nowNs);
  }

  /** The KV of a finished prefill was handed over. Its blocks are free when the worker has looked, too. */
  handedOver(request: RequestState, nowNs: number): void {
    this.kvNews.add({ request });
    this.wake(nowNs);
  }

  /** Takes part in a step that another member of its group has begun. */
  joinWave(nowNs: number): void {
    if (this.mayRunDummy && !this.busy) this.turn(nowNs);
  }

  /** The launch of a step has gone through, since all members have launched theirs. */
  launched(step: number, nowNs: number): void {
    if (this.waitingLaunch !== step) return;
    this.waitingLaunch = -1;
    if (!this.busy) this.turn(nowNs);
  }

  /** The oldest batch is done: take in its tokens, then compose the next. */
  complete(completion: Completion): Batch {
    const done = this.inFlight.shift();
    assert(done !== undefined, 'completion without a batch in flight');
    const nowNs = this.host.finish(done.batch, completion.finishNs);
    const numTokens = done.batch.samples.reduce((sum, samples) => sum + (samples ? 1 : 0), 0);
    const seenNs = this.events.seenAt(nowNs, numTokens);
    this.seenNs = seenNs;
    this.wave?.ended(nowNs);
    this.busy = true;
    this.countFirstTokens(done.batch, seenNs);
    const finished = (request: RequestState): void =>
      this.events.finished(request, request.isPrefillLeg ? nowNs : seenNs);
    this.scheduler.update(done.batch, nowNs, finished, seenNs);
    this.traffic?.writeDown(done.batch, nowNs);
    this.takeIn(done.polled);
    this.busy = false;
    this.turn(nowNs);
    return done.batch;
  }

  /** KV has reached a tier below, or come from one. */
  completeMove(completion: Completion): void {
    const nowNs = completion.finishNs;
    const end = this.traffic?.complete(completion);
    assert(end !== undefined, 'a move on an instance without tiers');
    for (const { iteration, batch } of end.steps) this.send(iteration, batch, nowNs);
    if (end.parked === undefined) return;
    this.kvArrived(end.parked.request, end.parked.computedTokens, nowNs);
  }

  private wake(nowNs: number): void {
    if (this.inFlight.length === 0 && !this.busy) this.turn(nowNs);
  }

  /**
   * A rank without work launches dummies ahead of the device: nothing of them is waited for. With a
   * real batch in flight it takes that in first. Through a pipeline it joins one step per stage.
   */
  private get mayRunDummy(): boolean {
    return this.instance.pp > 1 ? this.inFlight.length < this.depth : this.batchesInFlight === 0;
  }

  /** Batches that the engine waits for: dummies are launched and forgotten. */
  private get batchesInFlight(): number {
    if (this.wave === undefined || this.instance.pp > 1) return this.inFlight.length;
    let count = 0;
    for (const { batch } of this.inFlight) if (batch.requests.length > 0) count++;
    return count;
  }

  private takeIn(news: readonly KvNews[]): void {
    for (const { request, computedTokens } of news) {
      if (computedTokens === undefined) this.kv.free(request);
      else this.scheduler.kvReady(request, computedTokens);
    }
  }

  private countFirstTokens(batch: Batch, seenNs: number): void {
    for (let i = 0; i < batch.requests.length; i++) {
      const request = batch.requests[i];
      if (!batch.samples[i] || request.firstTokenHereNs >= 0) continue;
      request.firstTokenHereNs = seenNs;
      this.queuedTokens -= request.promptTokens;
    }
  }

  private turn(nowNs: number): void {
    this.nowNs = nowNs;
    this.busy = true;
    this.fillQueue(nowNs);
    this.busy = false;
  }

  private fillQueue(nowNs: number): void {
    for (;;) {
      for (const request of this.inbox) this.scheduler.add(request);
      this.inbox.length = 0;
      this.dropAborted();
      if (this.waitingLaunch >= 0 || this.batchesInFlight >= this.depth) return;
      const batch = this.compose(nowNs);
      const reservations = this.scheduler.takeReservations();
      if (reservations.length > 0) this.events.reserved(reservations, nowNs);
      this.traffic?.startLoads(this.scheduler.takeRecalls(), nowNs);
      if (batch === undefined) {
        if (this.inbox.length > 0) continue;
        if (!this.lookWithEmptyStep()) return;
        continue;
      }
      const isDummy = batch.requests.length === 0 && this.instance.pp === 1;
      const waits = this.wave !== undefined && (isDummy || this.instance.npus.length === 1);
      this.waitingLaunch = waits ? this.iterations : -1;
      this.inFlight.push({ batch, polled: isDummy ? noNews : this.kvNews.look() });
      const iteration = this.describe(batch, nowNs);
      const held = this.traffic?.delays(iteration, batch, nowNs) === true;
      if (!held) this.send(iteration, batch, nowNs);
      this.takeIn(this.kvNews.answerOfEmptyStep());
    }
  }

  /** Nothing to compute: a step without a forward pass. @returns whether it has brought something */
  private lookWithEmptyStep(): boolean {
    let news = this.kvNews.answerOfEmptyStep();
    if (news.length > 0 || this.batchesInFlight > 0) this.kvNews.lookBehindBatch();
    else news = this.kvNews.look();
    this.takeIn(news);
    return news.length > 0;
  }

  private dropAborted(): void {
    for (const request of this.aborts) {
      this.scheduler.abort(request);
      if (request.firstTokenHereNs >= 0) continue;
      request.firstTokenHereNs = this.nowNs;
      this.queuedTokens -= request.promptTokens;
    }
    this.aborts = [];
  }

  private send(iteration: Iteration, batch: Batch, nowNs: number): void {
    if (this.wave === undefined) this.events.submit(iteration, batch);
    else this.wave.offer(this, iteration, batch, nowNs);
  }

  /** The next batch; an empty one to keep a group in step; undefined when there is nothing to do. */
  private compose(nowNs: number): Batch | undefined {
    const running = this.instance.pp === 1 && this.wave?.isRunning(nowNs) === true;
    if (running && this.owesDummyIn === this.wave?.run) return this.owedDummy();
    if (this.scheduler.hasRequests) {
      for (;;) {
        const { preemptions } = this.scheduler;
        const batch = this.scheduler.schedule(nowNs);
        if (batch.requests.length > 0) {
          if (!running) this.wave?.begin();
          return batch;
        }
        // With a batch in flight the engine blocks on that first. Without, every preemption leaves one
        // request less that holds blocks, so this ends.
        if (this.scheduler.preemptions === preemptions || this.inFlight.length > 0) break;
        this.lookWithEmptyStep();
      }
    }
    if (this.mayRunDummy && this.wave?.awaits(this) === true) {
      this.takeIn(this.kvNews.look());
      return this.dummy();
    }
    if (running) this.owesDummyIn = this.wave?.run ?? -1;
    return undefined;
  }

  /** In place of the batch that there was nothing for; with others' step, or before its own next one. */
  private owedDummy(): Batch | undefined {
    const { hasRequests, numAwaitingKv } = this.scheduler;
    const begins = hasRequests && numAwaitingKv === 0;
    const due = this.mayRunDummy && (begins || this.wave?.awaits(this) === true);
    return due ? this.dummy() : undefined;
  }

  private dummy(): Batch {
    this.owesDummyIn = -1;
    return emptyBatch();
  }

  private describe(batch: Batch, nowNs: number): Iteration {
    const iteration: Iteration = {
      instance: this.instance.index,
      iteration: this.iterations,
      releaseNs: this.host.compose(batch, nowNs),
      requests: batch.requests.map((request) => request.index),
      newTokens: batch.newTokens,
      contextTokens: batch.contextTokens,
    };
    if (this.iterations === 0 && this.warmUpNs > 0) iteration.warmUpNs = this.warmUpNs;
    const { speculation } = this.instance.engine;
    if (speculation !== undefined && batch.drafts?.some((drafts) => drafts > 0) === true) {
      const draftNs = speculation.tokens * speculation.draftNs;
      if (draftNs > 0) iteration.draftNs = draftNs;
    }
    this.iterations++;
    return iteration;
  }
}
