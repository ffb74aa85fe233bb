/** What a run of the loop is asked: cluster, requests, backend, policies, and what the host takes. */
import type { Cluster, HostStep, OutputPath } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';
import type { Request } from '@astrolabe/workload';
import type { Backend } from './backend.js';
import type { StepPower } from './power/operator-power.js';
import type { RoutingFunction, RoutingPolicy } from './router.js';

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
  /** What operators draw, where profiles say it; absent: the node's constants alone. */
  readonly stepPower?: StepPower | undefined;
  /** Requests that no instance can ever serve: the run is refused (default), or they are rejected. */
  readonly unservable?: 'refuse' | 'reject' | undefined;
  readonly onIteration?: (iteration: Iteration) => void;
  readonly onCompletion?: (completion: Completion) => void;
  readonly onTransfer?: (transfer: Transfer) => void;
  readonly onProgress?: (finished: number, total: number, nowNs: number) => void;
}
