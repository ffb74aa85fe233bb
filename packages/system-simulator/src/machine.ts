/**
 * The machine that the serving loop drives: graph sets are submitted, time runs on up to a bound,
 * completions come back one by one. At an instant, ordinary events come first, then completions are
 * handed out, then graphs are released one set at a time in order of submission; so feeding live and
 * replaying the same sets give the same times. Times ns, sizes bytes.
 */
import { assert, UserError } from '@astrolabe/base';
import type { GraphSet } from '@astrolabe/chakra';
import { GroupCollectives } from './collectives/group-collectives.js';
import { type Group, undefinedGroup } from './collectives/group-table.js';
import type { CollectiveKind } from './collectives/phase.js';
import type { Completion } from './completion.js';
import { Core, type MessageListener } from './core.js';
import type { Counters } from './counters.js';
import { BufferPool } from './feeder/buffer-pool.js';
import { compileSet } from './feeder/compile-set.js';
import { Feeder, type NodeActions, type NodeListener } from './feeder/feeder.js';
import { defaultRules, type NodeRules, type Program, rowOf } from './feeder/program.js';
import type { Run } from './feeder/run.js';
import { behaveAlike } from './fold-npus.js';
import { type FoldedRuns, foldedRuns, usesNoLinks } from './folded-runs.js';
import { Kind } from './kernel/kinds.js';
import { ReleaseHeap } from './kernel/release-heap.js';
import type { MachineSpec } from './machine-spec.js';
import {
  addCommunications,
  checkEnds,
  completionOf,
  countCommunication,
  groupByRow,
  type Lane,
  type Machine,
  newState,
  occupy,
  type SetState,
} from './machine-state.js';
import { accessMemory, computeInMemory } from './memory/node-access.js';
import { MemoryTiers } from './memory/tiers.js';
import { createNetwork, delayOf } from './network/create-network.js';
import { MeasuredTimes } from './network/measured-times.js';
import { type StuckReport, stuckReport } from './stuck.js';

export type { Machine } from './machine-state.js';

/** @throws UserError a network that cannot be */
export function createMachine(spec: MachineSpec): Machine {
  return new SimulatedMachine(spec);
}

class SimulatedMachine implements Machine, NodeActions {
  private readonly spec: MachineSpec;
  private readonly core: Core;
  private readonly feeder: Feeder;
  private readonly collectives: GroupCollectives;
  private readonly memory: MemoryTiers;
  private readonly measured: MeasuredTimes | undefined;
  private readonly buffers = new BufferPool();
  /** By lane, then NPU. */
  private readonly lanes: Lane[][] = [];
  private readonly releases = new ReleaseHeap<SetState>();
  /** All of one instant, in order of submission: the order must not depend on the fast paths. */
  private readonly completed: { sequence: number; completion: Completion }[] = [];
  private readonly stateOf = new Map<Run, SetState>();
  private readonly busyNs: { compute: Float64Array; comm: Float64Array; memory: Float64Array };
  private readonly collectiveBytes: Float64Array;
  private readonly mayFold: boolean;
  private readonly folded: FoldedRuns | undefined;
  /** Everything up to then has happened. */
  private reachedNs = 0;
  private readonly rules: NodeRules;
  private sets = 0;

  constructor(spec: MachineSpec) {
    this.spec = spec;
    this.rules = { ...defaultRules, ...spec.rules };
    const delayNs = delayOf(spec.network, spec.numNpus);
    this.core = new Core(spec.numNpus, createNetwork(spec.network, spec.numNpus));
    const finish = (task: number): void => this.feeder.finish(task);
    // Where messages queue, their order within an instant counts, which a fast path may change.
    this.mayFold = spec.fastPaths !== false && spec.network.congestion === 'unaware';
    this.feeder = new Feeder(this.core, this, {
      stockSkips: false,
      chains: this.mayFold,
      endsTogether: true,
      ...(spec.slowdown === undefined ? {} : { slowdown: Float64Array.from(spec.slowdown) }),
    });
    this.measured = spec.measured === undefined ? undefined : new MeasuredTimes(spec.measured);
    this.collectives = new GroupCollectives(this.core, spec, delayNs, finish, this.measured);
    this.memory = new MemoryTiers(this.core, spec.memory, finish);
    const zeros = (): Float64Array => new Float64Array(spec.numNpus);
    this.busyNs = { compute: zeros(), comm: zeros(), memory: zeros() };
    this.collectiveBytes = zeros();
    const { core, feeder, collectives, stateOf } = this;
    this.folded = foldedRuns(spec, { core, feeder, collectives, stateOf });
    this.core.layers = (kind, arg) => this.handle(kind, arg);
  }

  get nowNs(): number {
    return this.core.nowNs;
  }

  get onNode(): NodeListener | undefined {
    return this.feeder.onNode;
  }

  get onMessage(): MessageListener | undefined {
    return this.core.onMessage;
  }

  set onMessage(listener: MessageListener | undefined) {
    this.folded?.unfold(this.reachedNs);
    this.core.onMessage = listener;
  }

  set onNode(listener: NodeListener | undefined) {
    this.folded?.unfold(this.reachedNs);
    this.feeder.onNode = listener;
  }

  submit(set: GraphSet): void {
    const at = `iteration ${set.iteration} of instance ${set.instance}`;
    assert(set.releaseNs >= this.nowNs, () => `${at} is released at ${set.releaseNs}, in the past`);
    const compiled = compileSet(set, this.rules, this.spec.numNpus, this.buffers);
    const communications = this.measured?.noneYet();
    const state = newState(set, compiled, this.sets++, this.collectives.groups, communications);
    const lanes = this.lane(set.lane);
    for (const { npu, program } of compiled.entries) {
      const lane = lanes[npu];
      lane.waiting.push({ state, program });
      if (!lane.running && lane.waiting.length === 1) state.free.add(npu);
    }
    if (state.free.size > 0) this.queueRelease(state);
  }

  runUntil(untilNs: number): Completion | undefined {
    const { queue } = this.core;
    for (;;) {
      const next = this.completed.shift();
      if (next !== undefined) return next.completion;
      const eventNs = queue.peekTime();
      const releaseNs = this.releases.peekTime();
      if (eventNs <= releaseNs) {
        if (eventNs > untilNs || eventNs === Number.POSITIVE_INFINITY) break;
        this.reachedNs = eventNs;
        do {
          queue.pop();
          this.core.dispatch(queue.kind, queue.arg);
        } while (queue.peekTime() === eventNs);
        this.feeder.flush();
      } else {
        if (releaseNs > untilNs) break;
        this.reachedNs = releaseNs;
        queue.advanceTo(releaseNs);
        this.release(this.releases.pop());
      }
    }
    this.reachedNs = Math.max(this.reachedNs, untilNs);
    return undefined;
  }

  counters(): Counters {
    this.folded?.unfold(this.reachedNs);
    const { sentBytes } = this.core;
    return {
      nowNs: this.nowNs,
      npus: Array.from(sentBytes, (bytes, npu) => ({
        npu,
        computeNs: this.busyNs.compute[npu],
        exposedCommNs: this.busyNs.comm[npu],
        exposedMemoryNs: this.busyNs.memory[npu],
        sentBytes: bytes + this.collectiveBytes[npu],
      })),
      links: this.core.network.counters?.() ?? [],
      memory: this.memory.counters(),
    };
  }

  stuck(): StuckReport {
    this.folded?.unfold(this.reachedNs);
    const waits = this.releases.peekTime() < Number.POSITIVE_INFINITY;
    return stuckReport({
      idle: this.core.queue.size === 0 && !waits,
      nowNs: this.nowNs,
      runs: [...this.stateOf].map(([run, { set }]) => ({ run, set })),
      sites: this.collectives.groups.open(),
      mailbox: this.core.mailbox,
    });
  }

  collective(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const group = this.groupOf(run, row);
    const kind = graph.commType[row] as CollectiveKind;
    const sizeBytes = graph.commSizeBytes[row];
    if (this.folded?.collective(run, group, kind, sizeBytes, task) === true) return;
    if (run.npus.length > 1) {
      const duration = this.collectives.togetherNs(group, kind, sizeBytes);
      this.collectives.countTogether(group);
      for (const npu of run.npus) this.countCollective(group, npu, kind, sizeBytes, run);
      this.core.after(run.npu, duration, Kind.nodeEnd, task);
      return;
    }
    this.countCollective(group, run.npu, kind, sizeBytes, run);
    this.collectives.begin(group, run.npu, kind, sizeBytes, task);
  }

  send(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const dst = graph.commDst[row];
    const size = graph.commSizeBytes[row];
    const tag = graph.commTag[row];
    checkEnds(run, row, 'comm_src', dst, this.spec.numNpus);
    run.commBytes += size;
    const measured = this.measured?.message(run.npu, dst) ?? null;
    countCommunication(run, measured, size);
    const message =
      measured === null
        ? this.core.send(run.npu, dst, tag, size, Kind.nodeEnd, task)
        : this.core.sendTimed(run.npu, dst, tag, size, task, measured.timeNs(size));
    this.core.messageAnnounced[message] = 1;
    const receiver = this.core.mailbox.announce(tag, run.npu, dst, size);
    if (receiver >= 0) this.feeder.receiveBegins(receiver);
  }

  receive(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const src = graph.commSrc[row];
    const size = graph.commSizeBytes[row];
    const tag = graph.commTag[row];
    checkEnds(run, row, 'comm_dst', src, this.spec.numNpus);
    const here = this.core.receive(src, run.npu, tag, size, Kind.nodeEnd, task);
    if (here || this.core.mailbox.hasAnnounced(tag, src, run.npu, size)) {
      this.feeder.receiveBegins(task);
    }
  }

  memoryAccess(run: Run, node: number, task: number): void {
    accessMemory(this.memory, run, node, task);
  }

  pim(run: Run, node: number, task: number): void {
    computeInMemory(this.memory, run, node, task);
  }

  runFinished(run: Run): void {
    const state = this.stateOf.get(run) as SetState;
    this.stateOf.delete(run);
    const lanes = this.lane(state.set.lane);
    const alike = this.folded?.finish(run) ?? 1;
    for (let i = 0; i < alike; i++) state.commBytes += run.commBytes;
    for (const npu of run.npus) {
      const { startNs, finishNs, computeNs, exposedCommNs, exposedMemoryNs } = run;
      state.results.push({ npu, startNs, finishNs, computeNs, exposedCommNs, exposedMemoryNs });
      this.busyNs.compute[npu] += computeNs;
      this.busyNs.comm[npu] += exposedCommNs;
      this.busyNs.memory[npu] += exposedMemoryNs;
      state.memoryBytes += run.memoryBytes;
      const lane = lanes[npu];
      lane.running = false;
      const next = lane.waiting[0];
      if (next !== undefined) {
        next.state.free.add(npu);
        this.queueRelease(next.state);
      }
    }
    addCommunications(state, run);
    if (state.results.length === state.npuCount) this.complete(state);
  }

  private complete(state: SetState): void {
    const [completed, sequence] = [this.completed, state.sequence];
    let at = completed.length;
    while (at > 0 && completed[at - 1].sequence > sequence) at--;
    completed.splice(at, 0, { sequence, completion: completionOf(state) });
    for (const { buffer } of state.programs) this.buffers.give(buffer);
  }

  private lane(index: number): Lane[] {
    while (this.lanes.length <= index) {
      this.lanes.push(
        Array.from({ length: this.spec.numNpus }, () => ({ waiting: [], running: false })),
      );
    }
    return this.lanes[index];
  }

  private queueRelease(state: SetState): void {
    const time = Math.max(state.set.releaseNs, this.nowNs);
    if (state.releaseAt === time) return;
    state.releaseAt = time;
    this.releases.push(time, state.sequence, state);
  }

  /** Starts the set on all NPUs that are free for it. */
  private release(state: SetState): void {
    state.releaseAt = Number.NaN;
    const lanes = this.lane(state.set.lane);
    this.folded?.look();
    if (this.folded !== undefined && !state.programs.every(usesNoLinks)) {
      if (this.startFolded(state, lanes, this.folded)) return;
      this.folded.unfold(this.nowNs);
    }
    const starts: { program: Program; npus: readonly number[] }[] = [];
    for (const { npus } of state.set.programs) {
      const ready = npus.filter((npu) => state.free.has(npu));
      if (ready.length === 0) continue;
      const { program } = lanes[ready[0]].waiting[0];
      if (ready.length === npus.length && this.canFold(state, program, npus)) {
        starts.push({ program, npus });
      } else {
        for (const npu of ready) starts.push({ program, npus: [npu] });
      }
    }
    // The same order however the NPUs are spread over programs.
    starts.sort((a, b) => a.npus[0] - b.npus[0]);
    for (const { program, npus } of starts) this.start(state, program, npus, lanes);
  }

  /** Starts the set as one run where that gives the same results, messages meeting or not. */
  private startFolded(state: SetState, lanes: readonly Lane[], folded: FoldedRuns): boolean {
    if (state.set.programs.length !== 1) return false;
    if (this.feeder.onNode !== undefined || this.core.onMessage !== undefined) return false;
    const npus = state.set.programs[0].npus.toSorted((a, b) => a - b);
    if (!npus.every((npu) => state.free.has(npu))) return false;
    const { program } = lanes[npus[0]].waiting[0];
    if (!folded.mayStart(state, program, npus)) return false;
    occupy(state, npus, lanes);
    folded.start(state, program, npus);
    return true;
  }

  private start(
    state: SetState,
    program: Program,
    npus: readonly number[],
    lanes: readonly Lane[],
  ): void {
    occupy(state, npus, lanes);
    const run = this.feeder.start(program, npus);
    this.stateOf.set(run, state);
    if (usesNoLinks(program)) this.folded?.moving(run);
    this.feeder.begin(run);
  }

  /** Whether the NPUs may run as one: nobody watches single nodes, and they do the same all along. */
  private canFold(state: SetState, program: Program, npus: readonly number[]): boolean {
    if (!this.mayFold || this.feeder.onNode !== undefined) return false;
    const { collectives, memory } = this;
    return behaveAlike(state, program, npus, { slowdown: this.spec.slowdown, collectives, memory });
  }

  private groupOf(run: Run, row: number): Group {
    const state = this.stateOf.get(run) as SetState;
    const { graph } = run.program;
    const group = groupByRow(state, graph, row);
    if (group !== undefined) return group;
    throw new UserError(`communicator group "${graph.strings[graph.pgName[row]]}" is not defined`, {
      at: `iteration ${state.set.iteration}: node ${graph.id[row]}`,
      hint: undefinedGroup,
    });
  }

  private countCollective(
    group: Group,
    npu: number,
    kind: CollectiveKind,
    sizeBytes: number,
    run: Run,
  ): void {
    const index = group.indexOf.get(npu);
    if (index === undefined) return;
    const bytes = this.collectives.sentBytes(group, index, kind, sizeBytes);
    run.commBytes += bytes;
    if (run.npus.length > 1 || this.collectives.isClosed(group, kind, sizeBytes)) {
      this.collectiveBytes[npu] += bytes;
    }
    // Once for all members.
    if (index > 0 || group.members.length < 2 || sizeBytes === 0) return;
    countCommunication(run, this.collectives.measuredOf(group, kind), sizeBytes);
  }

  private handle(kind: number, arg: number): void {
    switch (kind) {
      case Kind.nodeEnd:
        this.feeder.finish(arg);
        break;
      case Kind.serverDone:
      case Kind.serverStart:
        this.memory.handle(kind, arg);
        break;
      default:
        this.collectives.engine.handle(kind, arg);
    }
  }
}
