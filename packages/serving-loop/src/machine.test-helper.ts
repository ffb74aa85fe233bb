/**
 * For tests: a tiny cluster, and a machine on which every step takes a fixed time and every move
 * its bytes over a bandwidth, one after another on each lane of an instance.
 */
import { type Cluster, parseModel, resolveCluster } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { Completion } from '@astrolabe/system-simulator';
import { type Iteration, type Transfer, transferLane } from '@astrolabe/trace-generator';
import type { Backend } from './backend.js';
import type { RunInputs } from './run-inputs.js';
import type { RunResult } from './run-result.js';
import { runServing } from './serving-run.js';

export const exampleModel = { ...tinyModel, max_position_embeddings: 8192 };

/** The same with experts. */
export const expertModel = {
  ...exampleModel,
  model_type: 'mixtral',
  num_local_experts: 12,
  num_experts_per_tok: 2,
};

/** A cluster from (a part of) a cluster file. KV of a token of the example model: 512 B. */
export function clusterOf(
  instances: readonly object[],
  {
    node = {},
    cluster = {},
    model = exampleModel,
  }: { node?: object; cluster?: object; model?: object } = {},
): Cluster {
  const entries = instances.map((instance) => ({
    model_name: 'example',
    hardware: 'X',
    npu_mem: { mem_size: 1, mem_bw: 1000 },
    kv_blocks: 1000,
    ...instance,
  }));
  const file = {
    link_bw: 16,
    link_latency: 1000,
    nodes: [{ cpu_mem: { mem_size: 1, mem_bw: 100 }, instances: entries, ...node }],
    ...cluster,
  };
  return resolveCluster(file, 'example', {
    findModel: (name) => parseModel(name, model, 'example'),
  });
}

interface FixedTimes {
  /** Of every instance, or of each. */
  readonly stepNs: number | readonly number[];
  /** Of moves, bytes per ns; default: at once. */
  readonly bandwidthGBps?: number;
  /** Of a KV hand-over between instances; default: at once. */
  readonly transferNs?: number;
}

export class FixedMachine implements Backend {
  readonly submitted: Iteration[] = [];
  readonly transferred: Transfer[] = [];
  private readonly times: FixedTimes;
  private readonly queue: Completion[] = [];
  private readonly freeAt = new Map<string, number>();

  constructor(times: FixedTimes) {
    this.times = times;
  }

  submit(iteration: Iteration): void {
    this.submitted.push(iteration);
    const { instance, lane = 0 } = iteration;
    const name = `${instance}/${lane}`;
    const startNs = Math.max(iteration.releaseNs, this.freeAt.get(name) ?? 0);
    const finishNs = startNs + this.durationOf(iteration);
    this.freeAt.set(name, finishNs);
    const memoryBytes = (iteration.moves ?? []).reduce((sum, move) => sum + move.bytes, 0);
    this.enqueue({
      instance,
      iteration: iteration.iteration,
      lane,
      startNs,
      finishNs,
      npus: [],
      commBytes: 0,
      memoryBytes,
    });
  }

  /** KV between instances: `transferNs` each, one after another at the receiver. */
  transfer(transfer: Transfer): void {
    this.transferred.push(transfer);
    const name = `${transfer.to}/${transferLane}`;
    const startNs = Math.max(transfer.releaseNs, this.freeAt.get(name) ?? 0);
    const finishNs = startNs + (this.times.transferNs ?? 0);
    this.freeAt.set(name, finishNs);
    this.enqueue({
      instance: transfer.to,
      iteration: transfer.transfer,
      lane: transferLane,
      startNs,
      finishNs,
      npus: [],
      commBytes: 0,
      memoryBytes: 0,
    });
  }

  private enqueue(completion: Completion): void {
    let at = this.queue.length;
    while (at > 0 && this.queue[at - 1].finishNs > completion.finishNs) at--;
    this.queue.splice(at, 0, completion);
  }

  private durationOf(iteration: Iteration): number {
    const { stepNs, bandwidthGBps = Number.POSITIVE_INFINITY } = this.times;
    if (iteration.moves === undefined) {
      return typeof stepNs === 'number' ? stepNs : stepNs[iteration.instance];
    }
    const bytes = iteration.moves.reduce((sum, move) => sum + move.bytes, 0);
    return Math.ceil(bytes / bandwidthGBps);
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    const first = this.queue[0];
    return first !== undefined && first.finishNs <= untilNs ? this.queue.shift() : undefined;
  }

  async close(): Promise<undefined> {
    return undefined;
  }
}

type FixedRun = Pick<RunInputs, 'cluster' | 'requests'> &
  Partial<RunInputs> & { readonly times?: FixedTimes };

/** Runs a workload on the fixed machine, round robin, 1 s intervals, unless said otherwise. */
export function runFixed({
  times = { stepNs: 10_000_000 },
  ...inputs
}: FixedRun): Promise<RunResult> {
  return runServing({
    backend: new FixedMachine(times),
    routing: 'round-robin',
    seed: 1,
    hostTerms: { frontEndDelayNs: 0, warmUpNs: 0 },
    intervalNs: 1e9,
    ...inputs,
  });
}
