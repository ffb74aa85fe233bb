/**
 * Folding where messages queue. NPUs that run one program together as one are exact only while nobody
 * else comes onto their links, which nobody can know beforehand. So runs are folded while every run on
 * the machine is one that uses links of its own alone; when anything else is to start, they are unfolded
 * first: their events are forgotten and they run again, message by message, from their start to now.
 * That gives the state of the plain way, down to the order of events, because until then nothing could
 * tell these runs apart from runs on machines of their own. Runs that only move data between memories
 * (KV on its way to a tier) use no links: they go on beside all that. Times ns.
 */
import type { GroupCollectives } from './collectives/group-collectives.js';
import type { Alone, Group } from './collectives/group-table.js';
import type { CollectiveKind } from './collectives/phase.js';
import type { Core } from './core.js';
import type { Feeder } from './feeder/feeder.js';
import { Op, type Program, rowOf } from './feeder/program.js';
import type { Run } from './feeder/run.js';
import { isExactly } from './fold-npus.js';
import { Kind } from './kernel/kinds.js';
import type { MachineSpec } from './machine-spec.js';
import { groupByRow, type SetState } from './machine-state.js';
import { AwareNetwork } from './network/aware.js';

/** The parts of a machine that folding touches. */
interface FoldedContext {
  readonly core: Core;
  readonly feeder: Feeder;
  readonly collectives: GroupCollectives;
  readonly slowdown: readonly number[] | undefined;
  /** All that run. */
  readonly stateOf: Map<Run, SetState>;
}

interface Folded {
  readonly run: Run;
  readonly state: SetState;
  /** Collectives that the members of its groups had issued before. */
  readonly issued: readonly (readonly [Group, Int32Array])[];
  /** What its collectives sent; counted when it ends. */
  readonly sent: Alone[];
}

/** @returns undefined where runs are not folded so: without congestion, or with measured links */
export function foldedRuns(
  { fastPaths, network, measured, slowdown }: MachineSpec,
  context: Omit<FoldedContext, 'slowdown'>,
): FoldedRuns | undefined {
  const folds = fastPaths !== false && network.congestion === 'aware' && measured === undefined;
  return folds ? new FoldedRuns({ ...context, slowdown }) : undefined;
}

export class FoldedRuns {
  private readonly context: FoldedContext;
  /** In order of start. */
  private active: Folded[] = [];
  private readonly foldedOf = new Map<Run, Folded>();
  /** Under way, but on no link. */
  private readonly moves = new Set<Run>();
  /** No message is under way, nor anything left of one, but what folded runs stand for. */
  private linksAreIdle = false;

  constructor(context: FoldedContext) {
    this.context = context;
  }

  /** Call before anything starts, so that the first thing finds the links idle. */
  look(): void {
    const { stateOf, core } = this.context;
    if (stateOf.size === 0 && core.queue.size === 0) this.linksAreIdle = true;
  }

  /** A run that `usesNoLinks` is under way. */
  moving(run: Run): void {
    this.moves.add(run);
  }

  /** Whether the NPUs, which are all of the set, may run as one from now on. */
  mayStart(state: SetState, program: Program, npus: readonly number[]): boolean {
    if (!this.linksAreIdle) return false;
    if (program.hasPointToPoint || program.hasMemory || this.areDifferent(npus)) return false;
    if (this.active.some(({ run }) => run.npus.some((npu) => npus.includes(npu)))) return false;
    if (!isOneChain(program)) return false;
    for (let node = 0; node < program.nodeCount; node++) {
      if (program.op[node] === Op.collective && !this.isApart(state, program, node, npus)) {
        return false;
      }
    }
    return true;
  }

  start(state: SetState, program: Program, npus: readonly number[]): void {
    const { feeder, stateOf } = this.context;
    const groups = [...state.groups.values(), state.all].filter((group) => isExactly(group, npus));
    const run = feeder.start(program, npus);
    run.undisturbed = true;
    const issued = groups.map((group) => [group, group.issued.slice()] as const);
    const folded: Folded = { run, state, issued, sent: [] };
    this.active.push(folded);
    this.foldedOf.set(run, folded);
    stateOf.set(run, state);
    feeder.begin(run);
  }

  /** @returns false if the run is none of these */
  collective(
    run: Run,
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    task: number,
  ): boolean {
    const folded = this.foldedOf.get(run);
    if (folded === undefined) return false;
    const { collectives, core } = this.context;
    if (run.npus.length === 1 || sizeBytes === 0) {
      core.after(run.npu, 0, Kind.nodeEnd, task);
      return true;
    }
    const alone = collectives.alone(group, kind, sizeBytes);
    collectives.countTogether(group);
    folded.sent.push(alone);
    // Of one NPU; `finish` counts all.
    run.commBytes += collectives.sentBytes(group, 0, kind, sizeBytes);
    core.after(run.npu, alone.durationNs, Kind.nodeEnd, task);
    return true;
  }

  /** The run has ended: what it sent is counted. @returns how many NPUs its bytes stand for */
  finish(run: Run): number {
    this.moves.delete(run);
    const folded = this.foldedOf.get(run);
    if (folded === undefined) return 1;
    this.foldedOf.delete(run);
    this.active = this.active.filter((one) => one !== folded);
    const { core } = this.context;
    for (const { sentBytes, links } of folded.sent) {
      for (const npu of run.npus) core.sentBytes[npu] += sentBytes[npu];
      if (core.network instanceof AwareNetwork) core.network.addTraffic(links);
    }
    return run.npus.length;
  }

  /** Everything runs message by message from now on; all up to `untilNs` has happened. */
  unfold(untilNs: number): void {
    const { active, context } = this;
    this.linksAreIdle = false;
    if (active.length === 0) return;
    const { core, feeder, stateOf } = context;
    const nowNs = core.nowNs;
    this.active = [];
    this.foldedOf.clear();
    for (const { run, issued } of active) {
      feeder.discard(run);
      stateOf.delete(run);
      for (const [group, before] of issued) group.issued.set(before);
    }
    const ofMoves = core.restartAt(active[0].run.startNs, (kind, arg) => this.isOfMove(kind, arg));
    for (const { run, state } of active) {
      core.runThrough(run.startNs);
      core.queue.advanceTo(run.startNs);
      for (const npu of run.npus) {
        const own = feeder.start(run.program, [npu]);
        stateOf.set(own, state);
        feeder.begin(own);
      }
    }
    core.runThrough(untilNs);
    core.queue.advanceTo(Math.max(nowNs, core.nowNs));
    core.resume(ofMoves);
  }

  /** Folded runs have no memory nodes, so what servers do is for others. */
  private isOfMove(kind: number, arg: number): boolean {
    if (kind === Kind.serverDone || kind === Kind.serverStart) return true;
    return kind === Kind.nodeEnd && this.moves.has(this.context.feeder.runOf(arg));
  }

  private areDifferent(npus: readonly number[]): boolean {
    const { slowdown } = this.context;
    return slowdown !== undefined && npus.some((npu) => slowdown[npu] !== slowdown[npus[0]]);
  }

  /** Whether a collective is of just these NPUs, on links of their own, and ends for all at once. */
  private isApart(
    state: SetState,
    program: Program,
    node: number,
    npus: readonly number[],
  ): boolean {
    const { graph } = program;
    const row = rowOf(program, node);
    const group = groupByRow(state, graph, row);
    if (group === undefined || !isExactly(group, npus)) return false;
    const kind = graph.commType[row] as CollectiveKind;
    const sizeBytes = graph.commSizeBytes[row];
    if (npus.length === 1 || sizeBytes === 0) return true;
    const { collectives } = this.context;
    return (
      collectives.hasOwnLinks(group, kind, sizeBytes) &&
      !Number.isNaN(collectives.alone(group, kind, sizeBytes).durationNs)
    );
  }
}

/** There is nothing in the program but accesses to memory, which pass no link of the network. */
export function usesNoLinks({ op, nodeCount }: Program): boolean {
  for (let node = 0; node < nodeCount; node++) if (op[node] !== Op.memory) return false;
  return true;
}

/** Nodes that run side by side may end at one instant, and then the order of events would count. */
function isOneChain({ roots, childStart, nodeCount }: Program): boolean {
  if (roots.length !== 1) return false;
  for (let node = 0; node < nodeCount; node++) {
    if (childStart[node + 1] - childStart[node] > 1) return false;
  }
  return true;
}
