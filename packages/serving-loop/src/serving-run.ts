/**
 * The loop: arrivals and completions in order of time, each handed to the engine it concerns. The
 * machine is never run past the next arrival, the only thing from outside that can change a decision.
 */
import { GrowableFloat64, UserError } from '@astrolabe/base';
import { type Cluster, defaultKvTransfer, type HostStep, type OutputPath } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import {
  expertPeers,
  type Iteration,
  loadLane,
  type Transfer,
  transferLane,
} from '@astrolabe/trace-generator';
import { type Content, materialise, type Request } from '@astrolabe/workload';
import { Admission, type Refusal } from './admission.js';
import { Arrivals } from './arrivals.js';
import type { Backend } from './backend.js';
import { ClientTimeouts } from './client-timeouts.js';
import { CommunicationCount, type MeasuredLinksUse } from './communication-count.js';
import { WaveGroup } from './dp/wave-group.js';
import { OutputQueue } from './host/output-path.js';
import { InstanceEngine } from './instance-engine.js';
import { checkIntervals, IntervalSeries } from './interval-series.js';
import { BlockContents } from './kv/block-content.js';
import { buildTiers } from './kv/build-tiers.js';
import { TierSeries } from './kv/tier-series.js';
import { Disaggregation } from './pd/disaggregation.js';
import { createPowerMeter, type PowerMeter, type PowerReading } from './power/power-meter.js';
import { RequestState, RequestStatus } from './request-state.js';
import { type RoutedRequest, Router, type RoutingFunction, type RoutingPolicy } from './router.js';
import { sessionKeys } from './routing/sessions.js';
import { LoadMonitor, type Saturation } from './saturation.js';
import type { Batch } from './scheduler/scheduler.js';

/** Host-side terms of one run, from a calibration file; zero when nothing is known. */
export interface HostTerms {
  /** Arrival to the engine's input queue: tokenising, validation, IPC. */
  readonly frontEndDelayNs: number;
  /** Extra time of the first forward pass of each instance. */
  readonly warmUpNs: number;
  /** Host work of each step, by hardware; absent: it takes no time. */
  readonly steps?: Readonly<Record<string, HostStep | undefined>>;
  /** Engine to client; absent: at once. */
  readonly output?: OutputPath | undefined;
  /** Time constant of the power meter whose readings are shown; default 0. */
  readonly powerMeterLagNs?: number;
}

export interface RunInputs {
  readonly cluster: Cluster;
  readonly requests: readonly Request[];
  readonly backend: Backend;
  /** A policy by name, or a user's own. */
  readonly routing: RoutingPolicy | RoutingFunction;
  /** Choice of the decode instance behind a prefill instance; default: as `routing`. */
  readonly decodeRouting?: RoutingPolicy | RoutingFunction | undefined;
  readonly seed: number;
  readonly hostTerms: HostTerms;
  readonly intervalNs: number;
  /** Clients that wait no longer than this for their whole answer; absent: for ever. */
  readonly clientTimeoutNs?: number | undefined;
  /** Requests that no instance can ever serve: the run is refused (default), or they are rejected. */
  readonly unservable?: 'refuse' | 'reject' | undefined;
  readonly onIteration?: (iteration: Iteration) => void;
  readonly onCompletion?: (completion: Completion) => void;
  readonly onTransfer?: (transfer: Transfer) => void;
  readonly onProgress?: (finished: number, total: number, nowNs: number) => void;
}

export interface Rejection {
  /** Id in the workload. */
  readonly request: Request['id'];
  readonly reason: string;
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
  readonly tiers: TierSeries;
  readonly saturation: readonly Saturation[];
  /** Undefined unless the cluster has measured links. */
  readonly measuredLinks: MeasuredLinksUse | undefined;
  /** Of the time that devices do something in steps, communication alone. */
  readonly exposedCommShare: number;
  /** In workload order; empty unless they were asked for. */
  readonly rejections: readonly Rejection[];
  /** KV hand-overs from prefill to decode instances. */
  readonly transfers: {
    readonly count: number;
    readonly tokens: number;
    /** Prompts computed for decode instances, by prefill instance. */
    readonly prefills: ReadonlyMap<number, number>;
  };
}

/** @throws UserError a request that no instance can ever serve */
export async function runServing(inputs: RunInputs): Promise<RunResult> {
  return new ServingRun(inputs).run();
}

class ServingRun {
  private readonly inputs: RunInputs;
  private readonly states: RequestState[];
  private readonly engines: InstanceEngine[];
  private readonly admission: Admission;
  private readonly disaggregation: Disaggregation;
  private readonly sessions: readonly string[];
  private readonly arrivals: Arrivals;
  private readonly content: Content;
  /** By block size: equal blocks have equal ids across instances. */
  private readonly contents = new Map<number, BlockContents>();
  private readonly router: Router;
  private readonly decodeRouter: Router;
  private readonly series: IntervalSeries;
  private readonly itl = new GrowableFloat64(1 << 16);
  private readonly lastToken: Float64Array;
  private readonly meter: PowerMeter | undefined;
  private readonly tierSeries: TierSeries;
  private readonly load: LoadMonitor;
  private readonly communications: CommunicationCount;
  private readonly timeouts: ClientTimeouts;
  private readonly outputs: OutputQueue;
  private readonly rejections: Rejection[] = [];
  private finished = 0;
  private iterations = 0;
  private nowNs = 0;

  constructor(inputs: RunInputs) {
    this.inputs = inputs;
    const tiers = buildTiers(inputs.cluster);
    this.engines = inputs.cluster.instances.map(
      (instance) =>
        new InstanceEngine(
          instance,
          {
            submit: (iteration, batch) => this.submit(iteration, batch),
            finished: (request, nowNs) => this.finish(request, nowNs),
            move: (iteration) => this.move(iteration),
            seenAt: (knownNs, numTokens) => this.outputs.seenAt(knownNs, numTokens),
            reserved: (request, hitTokens, nowNs) =>
              this.disaggregation.reserved(request, hitTokens, nowNs),
          },
          {
            warmUpNs: inputs.hostTerms.warmUpNs,
            step: inputs.hostTerms.steps?.[instance.hardware],
          },
          tiers.instances[instance.index],
        ),
    );
    this.states = inputs.requests.map(
      (request, index) =>
        new RequestState(index, request.promptTokens, request.outputTokens, request.arrivalNs),
    );
    this.states.forEach((state, index) => {
      state.priority = inputs.requests[index].priority ?? 0;
    });
    this.load = new LoadMonitor(inputs.cluster);
    this.communications = new CommunicationCount(inputs.cluster.measuredLinks);
    this.timeouts = new ClientTimeouts(inputs.clientTimeoutNs);
    if (inputs.clientTimeoutNs !== undefined && this.engines.some((e) => e.role === 'prefill')) {
      throw new UserError('clients that go away are not modelled between prefill and decode', {
        at: '--client-timeout',
      });
    }
    this.outputs = new OutputQueue(inputs.hostTerms.output);
    this.lastToken = new Float64Array(this.states.length);
    this.content = materialise(inputs.requests, { all: hashesAll(inputs) });
    this.arrivals = new Arrivals(inputs.requests, this.states);
    this.sessions = sessionKeys(inputs.requests);
    this.router = new Router(inputs.routing, inputs.seed);
    this.decodeRouter = new Router(
      inputs.decodeRouting ?? inputs.routing,
      inputs.seed,
      'decode router',
    );
    this.admission = new Admission(this.engines);
    this.disaggregation = new Disaggregation(inputs.cluster.kvTransfer ?? defaultKvTransfer, {
      chooseDecode: (request, leg) => this.chooseDecode(request, leg),
      identify: (leg, prefill) => this.identify(leg, prefill),
      submit: (transfer) => this.transfer(transfer),
      firstToken: (request, nowNs) => {
        this.lastToken[request.index] = nowNs;
      },
      finished: (request, nowNs) => this.finish(request, nowNs),
    });
    this.groupWaves();
    this.series = new IntervalSeries(inputs.intervalNs);
    this.tierSeries = new TierSeries(inputs.intervalNs, this.engines, tiers.pools);
    this.meter = createPowerMeter(
      inputs.cluster,
      inputs.intervalNs,
      this.states.length,
      inputs.hostTerms.powerMeterLagNs,
    );
    inputs.requests.forEach((request, index) => {
      const refused = this.admission.refusalOf(request);
      if (refused !== undefined) this.reject(request, index, refused);
    });
  }

  async run(): Promise<RunResult> {
    const { backend, hostTerms } = this.inputs;
    const total = this.states.length;
    while (this.finished < total) {
      const nextArrivalNs = this.arrivals.nextNs + hostTerms.frontEndDelayNs;
      const nextNs = Math.min(nextArrivalNs, this.timeouts.nextNs);
      const completion = await backend.next(nextNs);
      if (completion === undefined) {
        if (nextNs === Number.POSITIVE_INFINITY) break;
        this.nowNs = nextNs;
        this.deliver(nextNs);
        this.expire(nextNs);
        continue;
      }
      this.nowNs = Math.max(this.nowNs, completion.finishNs);
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
      tiers: this.tierSeries,
      rejections: this.rejections,
      saturation: this.load.report(this.engines),
      measuredLinks: this.communications.use(),
      exposedCommShare: this.communications.exposedShare,
      transfers: {
        count: this.disaggregation.numTransfers,
        tokens: this.disaggregation.transferredTokens,
        prefills: this.disaggregation.numPrefills,
      },
    };
  }

  /** @throws UserError naming the request and why no instance can serve it */
  private reject(request: Request, index: number, { reason, hint }: Refusal): void {
    if (this.inputs.unservable !== 'reject') {
      const place = { at: `request ${request.id}` };
      throw new UserError(reason, hint === undefined ? place : { ...place, hint });
    }
    this.states[index].status = RequestStatus.rejected;
    this.rejections.push({ request: request.id, reason });
  }

  /** Hands over everything that has arrived by now, in order. */
  private deliver(nowNs: number): void {
    const delayNs = this.inputs.hostTerms.frontEndDelayNs;
    while (this.arrivals.nextNs + delayNs <= nowNs) {
      const request = this.arrivals.pop() as RequestState;
      if (request.status === RequestStatus.rejected) {
        this.finished++;
        this.arrivals.finished(request.index, nowNs);
        continue;
      }
      this.timeouts.add(request);
      const candidates = this.admission.entryFor(this.inputs.requests[request.index]);
      const engine = this.router.choose(candidates, this.routed(request, candidates));
      if (engine.role === 'prefill') {
        this.disaggregation.start(request, engine, nowNs);
      } else {
        this.identify(request, engine);
        engine.enqueue(request, nowNs);
      }
    }
  }

  /** Clients that have waited long enough. */
  private expire(nowNs: number): void {
    for (const request of this.timeouts.take(nowNs)) {
      request.abandonedNs = nowNs;
      this.finished++;
      this.arrivals.finished(request.index, nowNs);
      this.engines[request.instance].abort(request, nowNs);
    }
  }

  private chooseDecode(request: RequestState, prefill: InstanceEngine): InstanceEngine {
    const workloadRequest = this.inputs.requests[request.index];
    const candidates = this.admission.decodeFor(workloadRequest, prefill);
    const engine = this.decodeRouter.choose(candidates, this.routed(request, candidates));
    this.identify(request, engine);
    return engine;
  }

  /** What a routing policy may know of the request. */
  private routed(request: RequestState, candidates: readonly InstanceEngine[]): RoutedRequest {
    return {
      index: request.index,
      promptTokens: request.promptTokens,
      session: this.sessions[request.index],
      prefixHitTokens: (position) => {
        this.identify(request, candidates[position]);
        return candidates[position].kv.findComputedTokens(request);
      },
    };
  }

  /** Ranks of a data-parallel group that share experts step together. */
  private groupWaves(): void {
    const { cluster } = this.inputs;
    for (const instance of cluster.instances) {
      const peers = expertPeers(cluster, instance);
      if (peers.length < 2 || peers[0] !== instance) continue;
      new WaveGroup(
        peers.map((peer) => this.engines[peer.index]),
        (iteration, batch) => this.submit(iteration, batch),
        this.inputs.hostTerms.steps?.[instance.hardware]?.dp_sync_ns,
      );
    }
  }

  private complete(completion: Completion): void {
    this.inputs.onCompletion?.(completion);
    checkIntervals(completion.finishNs, this.inputs.intervalNs);
    this.communications.add(completion);
    if (completion.lane === transferLane) {
      this.meter?.onCompletion(completion);
      this.disaggregation.transferred(completion.iteration, completion.finishNs);
      return;
    }
    this.meter?.onCompletion(completion);
    this.load.onCompletion(completion);
    const engine = this.engines[completion.instance];
    if (completion.lane >= loadLane) {
      engine.completeMove(completion);
      return;
    }
    const batch = engine.complete(completion);
    const { seenNs } = engine;
    this.tierSeries.record(completion.finishNs);
    this.series.record(batch, completion.finishNs, this.engines);
    for (let i = 0; i < batch.requests.length; i++) {
      if (!batch.samples[i]) continue;
      const { index, numOutputTokens, isPrefillLeg } = batch.requests[i];
      if (isPrefillLeg) continue;
      const first = numOutputTokens === (batch.gained?.[i] ?? 1);
      if (!first) this.itl.push(seenNs - this.lastToken[index]);
      this.lastToken[index] = seenNs;
    }
  }

  private submit(iteration: Iteration, batch: Batch): void {
    const streamed = this.disaggregation.stream(iteration, batch);
    this.iterations++;
    this.inputs.onIteration?.(iteration);
    this.load.onIteration(iteration);
    this.meter?.onIteration(iteration);
    this.inputs.backend.submit(iteration);
    for (const transfer of streamed) this.transfer(transfer);
  }

  private transfer(transfer: Transfer): void {
    this.inputs.onTransfer?.(transfer);
    this.inputs.backend.transfer(transfer);
  }

  /** KV between an instance's devices and its tiers: not a step, so not counted as one. */
  private move(iteration: Iteration): void {
    this.inputs.onIteration?.(iteration);
    this.meter?.onIteration(iteration);
    this.inputs.backend.submit(iteration);
  }

  private finish(request: RequestState, nowNs: number): void {
    if (request.isPrefillLeg) {
      this.disaggregation.prefilled(request, nowNs);
      return;
    }
    this.nowNs = Math.max(this.nowNs, nowNs);
    if (request.abandonedNs >= 0) return;
    this.finished++;
    this.arrivals.finished(request.index, nowNs);
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
}

/**
 * An engine hashes every request. Content nobody can share changes nothing but what pools hold, so
 * it is only followed where that is asked: with tiers below the device, or a workload with prefixes.
 */
function hashesAll({ cluster, requests }: RunInputs): boolean {
  return cluster.kvTiers !== undefined || requests.some(({ prefix }) => prefix !== undefined);
}
