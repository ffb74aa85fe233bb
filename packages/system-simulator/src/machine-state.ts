/** Graph sets on their way through the machine, and what is said of them in the end. Times ns. */
import { UserError } from '@astrolabe/base';
import { Attr, type GraphSet } from '@astrolabe/chakra';
import type { Group } from './collectives/group-collectives.js';
import type { Completion, NpuTimes } from './completion.js';
import type { Program } from './feeder/program.js';
import type { Run } from './feeder/run.js';

/** A submitted set on its way. */
export interface SetState {
  readonly set: GraphSet;
  readonly sequence: number;
  readonly npuCount: number;
  /** Its own: given back when the set is done. */
  readonly programs: readonly Program[];
  readonly groups: ReadonlyMap<string, Group>;
  readonly all: Group;
  /** NPUs whose lane is free for this set, not started yet. */
  readonly free: Set<number>;
  /** Time of the release that is queued, NaN for none. */
  releaseAt: number;
  readonly results: NpuTimes[];
  commBytes: number;
  memoryBytes: number;
}

export interface LaneEntry {
  readonly state: SetState;
  readonly program: Program;
}

export interface Lane {
  readonly waiting: LaneEntry[];
  running: boolean;
}

/** Call when every NPU of the set has its result. */
export function completionOf({ set, results, commBytes, memoryBytes }: SetState): Completion {
  results.sort((a, b) => a.npu - b.npu);
  let startNs = Number.POSITIVE_INFINITY;
  let finishNs = 0;
  for (const npu of results) {
    startNs = Math.min(startNs, npu.startNs);
    finishNs = Math.max(finishNs, npu.finishNs);
  }
  return {
    instance: set.instance,
    iteration: set.iteration,
    lane: set.lane,
    startNs,
    finishNs,
    npus: results,
    commBytes,
    memoryBytes,
  };
}

const ownEnds = {
  comm_src: { bit: Attr.commSrc, column: 'commSrc' },
  comm_dst: { bit: Attr.commDst, column: 'commDst' },
} as const;

/** @throws UserError when a send's source or a receive's destination is another NPU, or there is no peer */
export function checkEnds(
  run: Run,
  row: number,
  own: keyof typeof ownEnds,
  peer: number,
  numNpus: number,
): void {
  const { graph } = run.program;
  const { bit, column } = ownEnds[own];
  const end = graph[column][row];
  const at = `NPU ${run.npu}: node ${graph.id[row]}`;
  if ((graph.present[row] & bit) !== 0 && end !== run.npu) {
    throw new UserError(`${own} is ${end}, but the node runs on NPU ${run.npu}`, { at });
  }
  if (peer < 0 || peer >= numNpus || peer === run.npu) {
    throw new UserError(`the other end is NPU ${peer}, which cannot be`, { at });
  }
}
