/**
 * Generator and machine of a cluster behind the loop's interface; remembers what it was asked. A
 * watchdog bounds the number of turns, so that a run which goes round in circles fails.
 */
import { assert } from '@astrolabe/base';
import type { Cluster, Instance } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import { type Backend, type RunInputs, type RunResult, runServing } from '@astrolabe/serving-loop';
import {
  type Completion,
  clusterMachine,
  createMachine,
  type Machine,
} from '@astrolabe/system-simulator';
import {
  createTraceGenerator,
  type Iteration,
  type TraceGenerator,
  type TraceGeneratorOptions,
  type Transfer,
} from '@astrolabe/trace-generator';

interface InProcessOptions
  extends Pick<TraceGeneratorOptions, 'calibration' | 'expertRouterFor' | 'terms'> {
  readonly fastPaths?: boolean;
  readonly mostTurns?: number;
}

export class InProcess implements Backend {
  readonly iterations: Iteration[] = [];
  readonly transfers: Transfer[] = [];
  readonly completions: Completion[] = [];
  readonly machine: Machine;
  private readonly generator: TraceGenerator;
  private turnsLeft: number;

  constructor(
    cluster: Cluster,
    latencyModelFor: (instance: Instance) => LatencyModel,
    { fastPaths = true, mostTurns = 1_000_000, ...options }: InProcessOptions = {},
  ) {
    this.generator = createTraceGenerator({ cluster, latencyModelFor, ...options });
    this.machine = createMachine({ ...clusterMachine(cluster), fastPaths });
    this.turnsLeft = mostTurns;
  }

  submit(iteration: Iteration): void {
    this.iterations.push(iteration);
    this.machine.submit(this.generator.generate(iteration));
  }

  transfer(transfer: Transfer): void {
    this.transfers.push(transfer);
    this.machine.submit(this.generator.generateTransfer(transfer));
  }

  next(untilNs: number): Promise<Completion | undefined> {
    assert(this.turnsLeft-- > 0, 'the watchdog: the run does not end');
    const completion = this.machine.runUntil(untilNs);
    if (completion !== undefined) this.completions.push(completion);
    return Promise.resolve(completion);
  }

  close(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

/** A run on a host that takes no time; by default requests go round robin. */
export function runOn(
  backend: InProcess,
  inputs: Pick<RunInputs, 'cluster' | 'requests'> & Partial<RunInputs>,
): Promise<RunResult> {
  const hostTerms = { frontEndDelayNs: 0, warmUpNs: 0 };
  return runServing({
    ...{ backend, routing: 'round-robin', seed: 1, hostTerms, intervalNs: 1e9 },
    ...inputs,
  });
}
