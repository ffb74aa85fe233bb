/** What a run says about one NPU: the figures that ASTRA-sim's report is made of. Times ns. */
import { assert } from '@astrolabe/base';
import { type Program, Stat } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';

export interface NpuResult {
  readonly npu: number;
  /** NaN if it never finished. */
  readonly finishNs: number;
  /** Sum of durations of compute nodes not on the CPU. */
  readonly gpuTicksNs: number;
  /** Latest end of a node. */
  readonly wallNs: number;
  /** Length of the union of communication intervals, undefined without such nodes. */
  readonly commNs: number | undefined;
  readonly gpuNs: number | undefined;
  /** The report has statistics: nothing but compute and communication ran. */
  readonly hasStatistics: boolean;
}

export function resultOf(run: Run, npu: number): NpuResult {
  assert(run.npus.length === 1, 'one NPU per run');
  const kinds = kindsOf(run.program);
  return {
    npu,
    finishNs: run.finished ? run.finishNs : Number.NaN,
    gpuTicksNs: run.gpuNs,
    wallNs: run.lastEndNs,
    commNs: kinds.comm ? run.commNs : undefined,
    gpuNs: kinds.compute ? run.computeNs : undefined,
    hasStatistics: !kinds.other,
  };
}

const kindsCache = new WeakMap<Program, { comm: boolean; compute: boolean; other: boolean }>();

function kindsOf(program: Program): { comm: boolean; compute: boolean; other: boolean } {
  let kinds = kindsCache.get(program);
  if (kinds === undefined) {
    kinds = { comm: false, compute: false, other: false };
    for (const stat of program.stat) {
      if (stat === Stat.compute) kinds.compute = true;
      else if (stat === Stat.comm) kinds.comm = true;
      else kinds.other = true;
    }
    kindsCache.set(program, kinds);
  }
  return kinds;
}
