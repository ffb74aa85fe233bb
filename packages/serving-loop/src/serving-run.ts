/**
 * The loop: arrivals and completions in order of time, each handed to the engine it concerns. The
 * machine is never run past the next arrival, the only thing from outside that can change a decision.
 */
import { UserError } from '@astrolabe/base';
import { defaultKvTransfer, type Instance } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import {
  expertPeers,
  type Iteration,
  loadLane,
  type Transfer,
  transferLane,
} from '@astrolabe/trace-generator';
import type { Request } from '@astrolabe/workload';
import { Admission, type Refusal } from './admission.js';
import { Arrivals } from './arrivals.js';
import { ClientTimeouts } from './client-timeouts.js';
import { CommunicationCount } from './communication-count.js';
import { WaveGroup } from './dp/wave-group.js';
import { OutputQueue } from './host/output-path.js';
import { type EngineEvents, InstanceEngine } from './instance-engine.js';
import { checkIntervals, IntervalSeries } from './interval-series.js';
import { buildTiers } from './kv/build-tiers.js';
import type { KvTiers } from './kv/kv-tiers.js';
import { TierSeries } from './kv/tier-series.js';
import { LastOfInterval } from './last-of-interval.js';
import { Disaggregation } from './pd/disaggregation.js';
import { createPowerMeter, type PowerMeter } from './power/power-meter.js';
import { RequestContents } from './request-contents.js';
import { RequestState, RequestStatus } from './request-state.js';
import { type RoutedRequest, Router } from './router.js';
import { sessionKeys } from './routing/sessions.js';
import type { RunInputs } from './run-inputs.js';
import type { Rejection, RunResult } from './run-result.js';
import { LoadMonitor } from './saturation.js';
import type { Batch } from './scheduler/batch.js';
import { TokenGaps } from './token-gaps.js';

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
  private readonly contents: RequestContents;
  private readonly router: Router;
  private readonly decodeRouter: Router;
  private readonly series: IntervalSeries;
  private readonly tokenGaps: TokenGaps;
  private readonly meter: PowerMeter | undefined;
  private readonly tierSeries: TierSeries;
  private readonly lastOfInterval: LastOfInterval;
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
    this.engines = inputs.cluster.instances.map((instance) =>
      this.engineOf(instance, tiers.instances[instance.index]),
    );
    this.states = inputs.requests.map(stateOf);
    this.load = new LoadMonitor(inputs.cluster);
    this.communications = new CommunicationCount(inputs.cluster.measuredLinks);
    this.timeouts = new ClientTimeouts(inputs.clientTimeoutNs);
    refuseTimeouts(inputs);
    this.outputs = new OutputQueue(inputs.hostTerms.output);
    this.tokenGaps = new TokenGaps(this.states.length);
    this.contents = new RequestContents(inputs);
    this.arrivals = new Arrivals(inputs.requests, this.states);
    this.sessions = sessionKeys(inputs.requests);
    this.router = new Router(inputs.routing, inputs.seed);
    const decodeRouting = inputs.decodeRouting ?? inputs.routing;
    this.decodeRouter = new Router(decodeRouting, inputs.seed, 'decode router');
    this.admission = new Admission(this.engines);
    this.disaggregation = new Disaggregation(inputs.cluster.kvTransfer ?? defaultKvTransfer, {
      chooseDecode: (request, leg) => this.chooseDecode(request, leg),
      identify: (leg, prefill) => this.contents.identify(leg, prefill),
      submit: (transfer) => this.transfer(transfer),
      firstToken: (request, nowNs) => this.tokenGaps.first(request.index, nowNs),
      finished: (request, nowNs) => this.finish(request, nowNs),
    });
    this.groupWaves();
    this.series = new IntervalSeries(inputs.intervalNs);
    this.tierSeries = new TierSeries(inputs.intervalNs, this.engines, tiers.pools);
    this.lastOfInterval = new LastOfInterval(inputs.intervalNs, (endNs) => {
      this.tierSeries.record(endNs);
      this.series.record(endNs, this.engines);
    });
    this.meter = createPowerMeter(
      inputs.cluster,
      inputs.intervalNs,
      this.states.length,
      inputs.hostTerms.powerMeterLagNs,
      inputs.stepPower,
    );
    inputs.requests.forEach((request, index) => {
      const refused = this.admission.refusalOf(request);
      if (refused !== undefined) this.reject(request, index, refused);
    });
  }

  private engineOf(instance: Instance, tiers: KvTiers | undefined): InstanceEngine {
    const { warmUpNs, steps } = this.inputs.hostTerms;
    const events: EngineEvents = {
      submit: (iteration, batch) => this.submit(iteration, batch),
      finished: (request, nowNs) => this.finish(request, nowNs),
      move: (iteration) => this.move(iteration),
      seenAt: (knownNs, numTokens) => this.outputs.seenAt(knownNs, numTokens),
      reserved: (reservations, nowNs) => this.disaggregation.reserved(reservations, nowNs),
    };
    return new InstanceEngine(
      instance,
      events,
      { warmUpNs, step: steps?.[instance.hardware] },
      tiers,
    );
  }

  async run(): Promise<RunResult> {
    const { backend, hostTerms } = this.inputs;
    const total = this.states.length;
    while (this.finished < total) {
      const nextArrivalNs = this.arrivals.nextNs + hostTerms.frontEndDelayNs;
      const { disaggregation, timeouts } = this;
      const nextNs = Math.min(nextArrivalNs, timeouts.nextNs, disaggregation.nextReleaseNs);
      const completion = await backend.next(nextNs);
      this.lastOfInterval.before(this.onlyBatchEnd(completion));
      if (completion === undefined) {
        if (nextNs === Number.POSITIVE_INFINITY) break;
        this.nowNs = nextNs;
        this.deliver(nextNs);
        this.expire(nextNs);
        disaggregation.releaseOverdue(nextNs);
        continue;
      }
      this.nowNs = Math.max(this.nowNs, completion.finishNs);
      this.deliver(completion.finishNs);
      this.complete(completion);
      this.inputs.onProgress?.(this.finished, total, this.nowNs);
    }
    this.lastOfInterval.before(undefined);
    return this.result();
  }

  /** When a batch ends, if nothing else happens then. */
  private onlyBatchEnd(completion: Completion | undefined): number | undefined {
    if (completion === undefined || completion.lane !== 0) return undefined;
    const { finishNs } = completion;
    const nextArrivalNs = this.arrivals.nextNs + this.inputs.hostTerms.frontEndDelayNs;
    return nextArrivalNs <= finishNs ? undefined : finishNs;
  }

  private result(): RunResult {
    return {
      requests: this.inputs.requests,
      states: this.states,
      engines: this.engines,
      series: this.series,
      tokenGaps: this.tokenGaps,
      numIterations: this.iterations,
      endNs: this.nowNs,
      power: this.meter?.finish(this.nowNs),
      tiers: this.tierSeries,
      rejections: this.rejections,
      saturation: this.load.report(this.engines),
      measuredLinks: this.communications.use(),
      exposedCommShare: this.communications.exposedShare,
      exposedTiersShare: this.communications.tiersShare,
      transfers: {
        count: this.disaggregation.numTransfers,
        tokens: this.disaggregation.transferredTokens,
        prefills: this.disaggregation.numPrefills,
        released: this.disaggregation.numReleased,
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

  /** Hands over everything that has arrived by now, in order; then engines that were idle start. */
  private deliver(nowNs: number): void {
    const delayNs = this.inputs.hostTerms.frontEndDelayNs;
    if (this.arrivals.nextNs + delayNs > nowNs) return;
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
        this.disaggregation.start(request, engine);
      } else {
        this.contents.identify(request, engine);
        engine.enqueue(request);
      }
    }
    for (const engine of this.engines) engine.start(nowNs);
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
    this.contents.identify(request, engine);
    return engine;
  }

  /** What a routing policy may know of the request. */
  private routed(request: RequestState, candidates: readonly InstanceEngine[]): RoutedRequest {
    return {
      index: request.index,
      promptTokens: request.promptTokens,
      session: this.sessions[request.index],
      prefixHitTokens: (position) => {
        this.contents.identify(request, candidates[position]);
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
    this.meter?.onCompletion(completion);
    if (completion.lane === transferLane) {
      this.disaggregation.transferred(completion.iteration, completion.finishNs);
      return;
    }
    this.load.onCompletion(completion);
    const engine = this.engines[completion.instance];
    if (completion.lane >= loadLane) {
      engine.completeMove(completion);
      return;
    }
    const batch = engine.complete(completion);
    this.series.credit(batch, completion.finishNs);
    this.lastOfInterval.ended(completion.finishNs);
    this.tokenGaps.record(batch, engine.seenNs);
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
}

function stateOf(request: Request, index: number): RequestState {
  const { promptTokens, outputTokens, arrivalNs, priority = 0 } = request;
  const state = new RequestState(index, promptTokens, outputTokens, arrivalNs);
  state.priority = priority;
  return state;
}

/** @throws UserError clients that go away where prompts and answers are computed apart */
function refuseTimeouts({ clientTimeoutNs, cluster }: RunInputs): void {
  if (clientTimeoutNs === undefined) return;
  if (cluster.instances.every(({ role }) => role !== 'prefill')) return;
  throw new UserError('clients that go away are not modelled between prefill and decode', {
    at: '--client-timeout',
  });
}
