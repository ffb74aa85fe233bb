/**
 * One serving engine: the loop of vLLM V1's engine core around the scheduler. New requests enter only
 * at the top of a turn; up to `depth` batches are in flight; with the queue full the engine blocks on
 * the oldest batch. So under asynchronous scheduling the batch after next is composed when a batch
 * ends, one batch ahead (vllm.md 1.2 of the design notes).
 */
import { assert } from '@astrolabe/base';
import type { Instance } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import { KvCacheManager } from './kv/kv-cache-manager.js';
import { type MemoryBudget, memoryBudget } from './kv/memory-budget.js';
import type { RequestState } from './request-state.js';
import { type Batch, Scheduler } from './scheduler/scheduler.js';

export interface EngineEvents {
  submit(iteration: Iteration): void;
  finished(request: RequestState, nowNs: number): void;
}

export class InstanceEngine {
  readonly instance: Instance;
  readonly budget: MemoryBudget;
  readonly kv: KvCacheManager;
  readonly scheduler: Scheduler;
  /** Batches submitted and not yet done, oldest first. */
  readonly inFlight: Batch[] = [];
  private readonly inbox: RequestState[] = [];
  private readonly depth: number;
  private readonly events: EngineEvents;
  private readonly warmUpNs: number;
  private iterations = 0;

  constructor(instance: Instance, events: EngineEvents, warmUpNs: number) {
    this.instance = instance;
    this.events = events;
    this.warmUpNs = warmUpNs;
    this.budget = memoryBudget(instance);
    const { engine, pp } = instance;
    this.kv = new KvCacheManager({
      numBlocks: this.budget.numBlocks,
      blockSize: engine.blockSize,
      prefixCaching: engine.enablePrefixCaching,
    });
    this.depth = pp > 1 ? pp : engine.asyncScheduling ? 2 : 1;
    this.scheduler = new Scheduler(engine, this.kv, engine.asyncScheduling && pp === 1);
  }

  /** Requests that do not run yet: what routers call the waiting queue. */
  get numWaiting(): number {
    return this.inbox.length + this.scheduler.waiting.length;
  }

  get numRunning(): number {
    return this.scheduler.running.length;
  }

  get isIdle(): boolean {
    return this.inFlight.length === 0 && this.inbox.length === 0 && !this.scheduler.hasRequests;
  }

  /** A request reaches the engine's input queue. An engine that waits for work starts at once. */
  enqueue(request: RequestState, nowNs: number): void {
    request.instance = this.instance.index;
    this.inbox.push(request);
    if (this.inFlight.length === 0) this.turn(nowNs);
  }

  /** The oldest batch is done: take in its tokens, then compose the next. */
  complete(completion: Completion): Batch {
    const batch = this.inFlight.shift();
    assert(batch !== undefined, 'completion without a batch in flight');
    this.scheduler.update(batch, completion.finishNs, (request) => {
      this.events.finished(request, completion.finishNs);
    });
    this.turn(completion.finishNs);
    return batch;
  }

  private turn(nowNs: number): void {
    for (;;) {
      for (const request of this.inbox) this.scheduler.add(request);
      this.inbox.length = 0;
      if (this.inFlight.length >= this.depth || !this.scheduler.hasRequests) return;
      const batch = this.scheduler.schedule(nowNs);
      if (batch.requests.length === 0) return;
      this.inFlight.push(batch);
      this.events.submit(this.describe(batch, nowNs));
    }
  }

  private describe(batch: Batch, nowNs: number): Iteration {
    const iteration: Iteration = {
      instance: this.instance.index,
      iteration: this.iterations,
      releaseNs: nowNs,
      requests: batch.requests.map((request) => request.index),
      newTokens: batch.newTokens,
      contextTokens: batch.contextTokens,
    };
    if (this.iterations === 0 && this.warmUpNs > 0) iteration.warmUpNs = this.warmUpNs;
    this.iterations++;
    return iteration;
  }
}
