/** What the machine offers, graph sets on their way through it, what is said in the end. Times ns. */
import { UserError } from '@astrolabe/base';
import { Attr, type ExecutionGraph, type GraphSet } from '@astrolabe/chakra';
import type { SizeCurve } from '@astrolabe/config';
import type { Group, GroupTable } from './collectives/group-table.js';
import type { Communications, Completion, NpuTimes } from './completion.js';
import type { MessageListener } from './core.js';
import type { Counters } from './counters.js';
import type { CompiledSet } from './feeder/compile-set.js';
import type { NodeListener } from './feeder/feeder.js';
import type { Program } from './feeder/program.js';
import type { Run } from './feeder/run.js';
import type { StuckReport } from './stuck.js';

export interface Machine {
  /** @throws UserError if the set cannot run on this machine; its release may not lie in the past */
  submit(set: GraphSet): void;
  /** The next completion at or before `untilNs`; undefined when nothing more finishes by then. */
  runUntil(untilNs: number): Completion | undefined;
  /** Time of the last thing that happened. */
  readonly nowNs: number;
  counters(): Counters;
  /** Who waits for what; `stuck` is true if nothing can happen any more and something is unfinished. */
  stuck(): StuckReport;
  /** Told of every node's issue and end. Turns off the fast path that skips over nodes. */
  onNode: NodeListener | undefined;
  /** Told of every message; collectives send some only without `fastPaths`. */
  onMessage: MessageListener | undefined;
}

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
  /** Only with measured links. */
  readonly communications: Communications | undefined;
}

interface LaneEntry {
  readonly state: SetState;
  readonly program: Program;
}

export interface Lane {
  readonly waiting: LaneEntry[];
  running: boolean;
}

/** A set that nothing has started of. @param sequence in order of submission */
export function newState(
  set: GraphSet,
  { entries, programs }: CompiledSet,
  sequence: number,
  table: GroupTable,
  communications: Communications | undefined,
): SetState {
  const npus = entries.map(({ npu }) => npu).sort((a, b) => a - b);
  const groups = new Map<string, Group>();
  for (const name of Object.keys(set.groups)) groups.set(name, table.of(set.groups[name]));
  return {
    set,
    sequence,
    npuCount: npus.length,
    programs,
    groups,
    all: table.of(npus),
    free: new Set(),
    releaseAt: Number.NaN,
    results: [],
    commBytes: 0,
    memoryBytes: 0,
    communications,
  };
}

/** The set starts on these NPUs, whose lanes are free for it. */
export function occupy(state: SetState, npus: readonly number[], lanes: readonly Lane[]): void {
  for (const npu of npus) {
    state.free.delete(npu);
    lanes[npu].waiting.shift();
    lanes[npu].running = true;
  }
}

/** Call when every NPU of the set has its result. */
export function completionOf(state: SetState): Completion {
  const { set, results, commBytes, memoryBytes, communications } = state;
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
    ...(communications === undefined ? {} : { communications }),
  };
}

/** One more collective or message of the run; `measured` is null if the network timed it. */
export function countCommunication(run: Run, measured: SizeCurve | null, sizeBytes: number): void {
  if (measured === null) {
    run.simulated++;
    return;
  }
  run.measured++;
  if (measured.isBeyond(sizeBytes)) run.measuredBeyond++;
}

export function addCommunications({ communications }: SetState, run: Run): void {
  if (communications === undefined) return;
  communications.measured += run.measured;
  communications.beyond += run.measuredBeyond;
  communications.simulated += run.simulated;
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

/** No name, or "0" without a definition, means all NPUs of the set; undefined: nobody defined it. */
export function groupByRow(state: SetState, graph: ExecutionGraph, row: number): Group | undefined {
  const named = (graph.present[row] & Attr.pgName) !== 0;
  const name = named ? graph.strings[graph.pgName[row]] : '';
  const group = state.groups.get(name);
  if (group !== undefined) return group;
  return name === '' || name === '0' ? state.all : undefined;
}
