/**
 * The loop: arrivals and completions in order of time, each handed to the engine it concerns. The
 * machine is never run past the next arrival, the only thing from outside that can change a decision.
 */
import { GrowableFloat64, UserError } from '@astrolabe/base';
import type { Cluster } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import { type Content, materialise, type Request } from '@astrolabe/workload';
import { Arrivals } from './arrivals.js';
import type { Backend } from './backend.js';
import { InstanceEngine } from './instance-engine.js';
import { IntervalSeries } from './interval-series.js';
import { BlockContents } from './kv/block-content.js';
import { createPowerMeter, type PowerMeter, type PowerReading } from './power/power-meter.js';
import { RequestState } from './request-state.js';
import { Router, type RoutingPolicy } from './router.js';

/** Host-side terms of one run, from a calibration file; zero when nothing is known. */
export interface HostTerms {
  /** Arrival to the engine's input queue: tokenising, validation, IPC. */
  readonly frontEndDelayNs: number;
  /** Extra time of the first forward pass of each instance. */
  readonly warmUpNs: number;
}

export interface RunInputs {
  readonly cluster: Cluster;
  readonly requests: readonly Request[];
  readonly backend: Backend;
  readonly routing: RoutingPolicy;
  readonly seed: number;
  readonly hostTerms: HostTerms;
  readonly intervalNs: number;
  readonly onIteration?: (iteration: Iteration) => void;
  readonly onCompletion?: (completion: Completion) => void;
  readonly onProgress?: (finished: number, total: number, nowNs: number) => void;
}

export interface RunResult {
  readonly requests: readonly Request[];
  readonly states: readonly RequestState[];
  readonly engines: readonly InstanceEngine[];
  readonly series: IntervalSeries;
  /** All inter-token gaps of all requests, ns. */
  readonly itlNs: Float64Array;
  readonly numIterations: number;
  readonly endNs: number;
  /** Undefined unless a node has power constants. */
  readonly power: PowerReading | undefined;
}

/** @throws UserError a request that no instance can ever serve */
export async function runServing(inputs: RunInputs): Promise<RunResult> {
  return new ServingRun(inputs).run();
}

class ServingRun {
  private readonly inputs: RunInputs;
  private readonly states: RequestState[];
  private readonly engines: InstanceEngine[];
  private readonly candidates = new Map<string, InstanceEngine[]>();
  private readonly arrivals: Arrivals;
  private readonly content: Content;
  /** By block size: equal blocks have equal ids across instances. */
  private readonly contents = new Map<number, BlockContents>();
  private readonly router: Router;
  private readonly series: IntervalSeries;
  private readonly itl = new GrowableFloat64(1 << 16);
  private readonly lastToken: Float64Array;
  private readonly meter: PowerMeter | undefined;
  private finished = 0;
  private iterations = 0;
  private nowNs = 0;

  constructor(inputs: RunInputs) {
    this.inputs = inputs;
    this.engines = inputs.cluster.instances.map(
      (instance) =>
        new InstanceEngine(
          instance,
          {
            submit: (iteration) => this.submit(iteration),
            finished: (request, nowNs) => this.finish(request, nowNs),
          },
          inputs.hostTerms.warmUpNs,
        ),
    );
    this.states = inputs.requests.map(
      (request, index) =>
        new RequestState(index, request.promptTokens, request.outputTokens, request.arrivalNs),
    );
    this.lastToken = new Float64Array(this.states.length);
    this.content = materialise(inputs.requests);
    this.arrivals = new Arrivals(inputs.requests, this.states);
    this.router = new Router(inputs.routing, inputs.seed);
    this.series = new IntervalSeries(inputs.intervalNs);
    this.meter = createPowerMeter(inputs.cluster, inputs.intervalNs, this.states.length);
    this.checkServable();
  }

  async run(): Promise<RunResult> {
    const { backend, hostTerms } = this.inputs;
    const total = this.states.length;
    while (this.finished < total) {
      const nextArrivalNs = this.arrivals.nextNs + hostTerms.frontEndDelayNs;
      const completion = await backend.next(nextArrivalNs);
      if (completion === undefined) {
        if (nextArrivalNs === Number.POSITIVE_INFINITY) break;
        this.nowNs = nextArrivalNs;
        this.deliver(nextArrivalNs);
        continue;
      }
      this.nowNs = completion.finishNs;
      this.deliver(completion.finishNs);
      this.complete(completion);
      this.inputs.onProgress?.(this.finished, total, this.nowNs);
    }
    return {
      requests: this.inputs.requests,
      states: this.states,
      engines: this.engines,
      series: this.series,
      itlNs: this.itl.toArray(),
      numIterations: this.iterations,
      endNs: this.nowNs,
      power: this.meter?.finish(this.nowNs),
    };
  }

  /** Hands over everything that has arrived by now, in order. */
  private deliver(nowNs: number): void {
    const delayNs = this.inputs.hostTerms.frontEndDelayNs;
    while (this.arrivals.nextNs + delayNs <= nowNs) {
      const request = this.arrivals.pop() as RequestState;
      const candidates = this.candidatesFor(this.inputs.requests[request.index].model);
      const engine = this.router.choose(candidates);
      this.identify(request, engine);
      engine.enqueue(request, nowNs);
    }
  }

  private complete(completion: Completion): void {
    this.inputs.onCompletion?.(completion);
    this.meter?.onCompletion(completion);
    const engine = this.engines[completion.instance];
    const batch = engine.complete(completion);
    this.series.record(batch, completion.finishNs, this.engines);
    for (let i = 0; i < batch.requests.length; i++) {
      if (!batch.samples[i]) continue;
      const { index, numOutputTokens } = batch.requests[i];
      if (numOutputTokens > 1) this.itl.push(completion.finishNs - this.lastToken[index]);
      this.lastToken[index] = completion.finishNs;
    }
  }

  private submit(iteration: Iteration): void {
    this.iterations++;
    this.inputs.onIteration?.(iteration);
    this.meter?.onIteration(iteration);
    this.inputs.backend.submit(iteration);
  }

  private finish(request: RequestState, nowNs: number): void {
    this.finished++;
    this.arrivals.finished(request.index, nowNs);
  }

  private candidatesFor(model: string | undefined): InstanceEngine[] {
    const key = model ?? '';
    let found = this.candidates.get(key);
    if (found === undefined) {
      found = this.engines.filter(
        (engine) => model === undefined || engine.instance.model.name === model,
      );
      this.candidates.set(key, found);
    }
    return found;
  }

  /** What the request's full blocks hold, for prefix lookups on this engine. */
  private identify(request: RequestState, engine: InstanceEngine): void {
    if (!engine.kv.prefixCaching) return;
    const sequence = this.content.sequence(request.index);
    if (sequence === undefined) return;
    const { blockSize } = engine.kv;
    let contents = this.contents.get(blockSize);
    if (contents === undefined) {
      contents = new BlockContents(blockSize);
      this.contents.set(blockSize, contents);
    }
    request.blockContents = contents.ofSequence(sequence);
  }

  /** Refuses requests that could wait for ever: no instance, context, or pool for them. */
  private checkServable(): void {
    for (const state of this.states) {
      const request = this.inputs.requests[state.index];
      const at = `request ${request.id}`;
      const candidates = this.candidatesFor(request.model);
      if (candidates.length === 0) {
        throw new UserError(`no instance serves model "${request.model}"`, { at });
      }
      const length = request.promptTokens + request.outputTokens;
      for (const { instance, kv } of candidates) {
        const context = instance.engine.maxModelLen ?? instance.model.maxPositionEmbeddings;
        if (length > context) {
          throw new UserError(
            `prompt ${request.promptTokens} + output ${request.outputTokens} tokens exceed the ` +
              `context of ${context} tokens of ${instance.name} (${instance.model.name})`,
            { at },
          );
        }
        if (kv.blocksFor(length) > kv.pool.numBlocks - 1) {
          throw new UserError(
            `needs ${kv.blocksFor(length)} KV blocks, ${instance.name} has ` +
              `${kv.pool.numBlocks - 1}`,
            { at, hint: 'raise --memory-utilization or --kv-blocks, or use more devices' },
          );
        }
        if (!instance.engine.enableChunkedPrefill) this.checkWholePrompt(request, instance.engine);
      }
    }
  }

  private checkWholePrompt(request: Request, engine: { maxNumBatchedTokens: number }): void {
    if (request.promptTokens <= engine.maxNumBatchedTokens) return;
    throw new UserError(
      `prompt of ${request.promptTokens} tokens exceeds max_num_batched_tokens ` +
        `${engine.maxNumBatchedTokens} and chunked prefill is off`,
      { at: `request ${request.id}` },
    );
  }
}
