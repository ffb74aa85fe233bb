/**
 * When collectives of the default machine end, over any group of NPUs (group-table.ts). Where messages
 * do not disturb each other the end times are computed when the last member has begun; otherwise
 * chunks run on the message engine. A measured group takes its measured time on every path. Times ns,
 * sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import type { SizeCurve } from '@astrolabe/config';
import { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import type { MachineSpec } from '../machine-spec.js';
import { AwareNetwork } from '../network/aware.js';
import { createNetwork } from '../network/create-network.js';
import type { MeasuredTimes } from '../network/measured-times.js';
import { type DelayNs, type LevelSpec, unawareNetwork } from '../network/topology.js';
import { directTimes, ringTimes, type StepTimes, uniformRingNs } from './closed-times.js';
import { type Alone, type Group, GroupTable, kindAndSize, type Site } from './group-table.js';
import { memberBytes, type Plan, plansOf } from './implementation.js';
import { CollectiveKind, type PhaseSpec, type RingMembers } from './phase.js';
import { reductionNs, StreamEngine, type StreamQueue } from './streams.js';

export class GroupCollectives {
  readonly engine: StreamEngine;
  readonly groups: GroupTable;
  private readonly core: Core;
  private readonly spec: MachineSpec;
  private readonly delayNs: DelayNs;
  private readonly plans: Readonly<Record<CollectiveKind, Plan>>;
  private readonly closed: boolean;
  private readonly measured: MeasuredTimes | undefined;

  constructor(
    core: Core,
    spec: MachineSpec,
    delayNs: DelayNs,
    onDone: (task: number) => void,
    measured?: MeasuredTimes,
  ) {
    this.core = core;
    this.measured = measured;
    this.spec = spec;
    this.delayNs = delayNs;
    this.plans = plansOf(spec.collectives);
    this.groups = new GroupTable(spec.splits, core.numNpus);
    this.closed = spec.fastPaths !== false && spec.network.congestion === 'unaware';
    this.engine = new StreamEngine({
      core,
      localMemoryBytesPerSecond: spec.localMemoryBandwidthGBps * 1e9,
      localMemoryOfNpuGBps: spec.localMemoryOfNpuGBps,
      onDataSetDone: (dataSet) => onDone(dataSet.task),
    });
  }

  /** NPU `npu` begins its next collective of the group; `task` ends with it. */
  begin(group: Group, npu: number, kind: CollectiveKind, sizeBytes: number, task: number): void {
    const index = group.indexOf.get(npu);
    if (index === undefined) {
      throw new UserError(`a collective of group [${group.key}], which NPU ${npu} is not in`);
    }
    const n = group.members.length;
    if (n === 1 || sizeBytes === 0) {
      this.core.after(npu, 0, Kind.nodeEnd, task);
      return;
    }
    const site = this.groups.next(group, index, kind, sizeBytes);
    const closed = this.isClosed(group, kind, sizeBytes);
    if (closed) {
      site.beginNs[index] = this.core.nowNs;
      site.tasks[index] = task;
    } else {
      this.launch(site, npu, index, task);
    }
    if (++site.arrived < n) return;
    if (closed) this.endAll(site);
    this.groups.close(site);
  }

  /** Schedules the ends of a collective that `isClosed` and that all members have begun. */
  private endAll({ group, kind, sizeBytes, beginNs, tasks }: Site): void {
    const alike = beginNs.every((time) => time === beginNs[0]);
    this.endTimes(group, kind, sizeBytes, beginNs, alike);
    for (let i = 0; i < tasks.length; i++) {
      this.core.queue.schedule(beginNs[i], Kind.nodeEnd, tasks[i]);
    }
  }

  /** All members begin now as one; NaN if they would not end together. */
  togetherNs(group: Group, kind: CollectiveKind, sizeBytes: number): number {
    const n = group.members.length;
    if (n === 1 || sizeBytes === 0) return 0;
    const key = kindAndSize(kind, sizeBytes);
    let duration = group.together.get(key);
    if (duration !== undefined) return duration;
    const times = new Float64Array(n);
    if (this.isClosed(group, kind, sizeBytes)) this.endTimes(group, kind, sizeBytes, times, true);
    else this.simulate(group, kind, sizeBytes, times);
    duration = times.every((time) => time === times[0]) ? times[0] : Number.NaN;
    group.together.set(key, duration);
    return duration;
  }

  /** Counts a collective that all members ran as one, so that later ones match. */
  countTogether(group: Group): void {
    for (let i = 0; i < group.issued.length; i++) group.issued[i]++;
  }

  /** Bytes that member `index` sends. */
  sentBytes(group: Group, index: number, kind: CollectiveKind, sizeBytes: number): number {
    const { algorithm } = this.plans[kind];
    return memberBytes(algorithm, kind, group.members.length, index, sizeBytes);
  }

  /** Measured times of the group's collectives of a kind; null: the network decides. */
  measuredOf(group: Group, kind: CollectiveKind): SizeCurve | null {
    if (this.measured === undefined || group.members.length < 2) return null;
    let curve = group.measured[kind];
    if (curve === undefined) {
      curve = this.measured.collective(kind, group.members);
      group.measured[kind] = curve;
    }
    return curve;
  }

  /** Whether its end times are computed without messages. */
  isClosed(group: Group, kind: CollectiveKind, sizeBytes: number): boolean {
    if (this.measuredOf(group, kind) !== null) return true;
    return this.closed && this.isOneByOne(kind, sizeBytes) && this.reduceAlike(group);
  }

  /** All members' own memories are as fast. */
  private reduceAlike({ members }: Group): boolean {
    const own = this.spec.localMemoryOfNpuGBps;
    return own === undefined || members.every((npu) => own[npu] === own[members[0]]);
  }

  /** One chunk, of which no member has two messages on a link at once. */
  private isOneByOne(kind: CollectiveKind, sizeBytes: number): boolean {
    if (this.spec.splits > 1 && sizeBytes > 1) return false;
    const { algorithm, window } = this.plans[kind];
    if (algorithm === 'ring') return true;
    const full = window === Number.POSITIVE_INFINITY;
    return algorithm === 'direct' && full && kind !== CollectiveKind.allReduce;
  }

  /** Begin times to end times, in place, of a collective that `isClosed`. */
  private endTimes(
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    times: Float64Array,
    alike: boolean,
  ): void {
    const measured = this.measuredOf(group, kind);
    if (measured !== null) {
      times.fill(latest(times) + measured.timeNs(sizeBytes));
      return;
    }
    const { members } = group;
    const n = members.length;
    const { algorithm } = this.plans[kind];
    const messageBytes = kind === CollectiveKind.allGather ? sizeBytes : messageShare(sizeBytes, n);
    if (algorithm === 'direct') {
      directTimes(
        kind,
        this.spec.endpointDelayNs,
        this.reduceNs(group, messageBytes),
        (from, to) => this.delayNs(members[from], members[to], messageBytes),
        times,
      );
      return;
    }
    const step = this.step(group, messageBytes);
    if (alike && step.uniform) times.fill(times[0] + uniformRingNs(kind, n, step));
    else ringTimes(kind, step, times);
  }

  private step(group: Group, messageBytes: number): StepTimes {
    const known = group.steps.get(messageBytes);
    if (known !== undefined) return known;
    const { members } = group;
    const n = members.length;
    const hopNs = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      hopNs[i] = this.delayNs(members[i], members[(i + 1) % n], messageBytes);
    }
    const step: StepTimes = {
      endpointNs: this.spec.endpointDelayNs,
      reduceNs: this.reduceNs(group, messageBytes),
      hopNs,
      uniform: hopNs.every((delay) => delay === hopNs[0]),
    };
    group.steps.set(messageBytes, step);
    return step;
  }

  private reduceNs({ members }: Group, sizeBytes: number): number {
    const { localMemoryBandwidthGBps: all, localMemoryOfNpuGBps: own } = this.spec;
    return reductionNs(sizeBytes, (own?.[members[0]] ?? all) * 1e9);
  }

  /** What a collective of the group is when nothing else is on the network (with congestion). */
  alone(group: Group, kind: CollectiveKind, sizeBytes: number): Alone {
    const key = kindAndSize(kind, sizeBytes);
    const known = group.alone.get(key);
    if (known !== undefined) return known;
    const network = createNetwork(this.spec.network, this.core.numNpus);
    const core = new Core(this.core.numNpus, network);
    const times = new Float64Array(group.members.length);
    this.simulateOn(core, group, kind, sizeBytes, times);
    const alone = {
      durationNs: times.every((time) => time === times[0]) ? times[0] : Number.NaN,
      sentBytes: core.sentBytes,
      links: network instanceof AwareNetwork ? network.traffic() : [],
    };
    group.alone.set(key, alone);
    return alone;
  }

  /**
   * Whether no link of the collective is one that other NPUs use, and no two of its messages meet on
   * one: its members are on one level, where each has a port of its own.
   */
  hasOwnLinks(group: Group, kind: CollectiveKind, sizeBytes: number): boolean {
    if (!this.isOneByOne(kind, sizeBytes)) return false;
    group.hasOwnLinks ??= onOneLevel(this.spec.network.levels ?? [], group.members);
    return group.hasOwnLinks;
  }

  /** Runs a collective alone on a machine of its own, all members beginning at once, without congestion. */
  private simulate(
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    times: Float64Array,
  ): void {
    const core = new Core(this.core.numNpus, unawareNetwork(this.delayNs));
    this.simulateOn(core, group, kind, sizeBytes, times);
  }

  private simulateOn(
    core: Core,
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    times: Float64Array,
  ): void {
    const lone = new GroupCollectives(
      core,
      { ...this.spec, fastPaths: false },
      this.delayNs,
      (task) => {
        times[task] = core.nowNs;
      },
    );
    core.layers = (event, arg) => {
      if (event === Kind.nodeEnd) times[arg] = core.nowNs;
      else lone.engine.handle(event, arg);
    };
    const copy = lone.groups.of(group.members);
    group.members.forEach((npu, i) => {
      lone.begin(copy, npu, kind, sizeBytes, i);
    });
    core.runThrough(Number.MAX_VALUE);
  }

  private launch(site: Site, npu: number, index: number, task: number): void {
    const specs = this.phasesOf(site)[index];
    const { activeChunks, endpointDelayNs: endpointNs } = this.spec;
    const queue: StreamQueue = { streams: [], running: 0, threshold: activeChunks };
    const dataSet = { task, streams: specs.length, finished: 0 };
    for (let c = 0; c < specs.length; c++) {
      this.engine.submit({
        npu,
        tag: site.tag - c,
        priority: 0,
        dataSet,
        next: 0,
        queue: undefined,
        started: false,
        phases: [{ queue, endpointNs, spec: specs[c] }],
      });
    }
  }

  /** One phase per chunk of every member. @throws UserError */
  private phasesOf({ group, kind, sizeBytes }: Site): readonly (readonly PhaseSpec[])[] {
    const key = kindAndSize(kind, sizeBytes);
    const known = group.phases.get(key);
    if (known !== undefined) return known;
    const { algorithm, window } = this.plans[kind];
    const n = group.members.length;
    const log = Math.log2(n);
    if ((algorithm === 'halvingDoubling' || algorithm === 'doubleBinaryTree') && log % 1 !== 0) {
      throw new UserError(
        `${algorithm} needs a power of two of NPUs, group [${group.key}] has ${n}`,
      );
    }
    const members: RingMembers = { count: n, base: 0, stride: 1, list: group.members };
    const chunks = chunkSizes(sizeBytes, this.spec.splits);
    const phases = group.members.map((_, index) =>
      chunks.map((dataBytes, c) => ({
        kind,
        algorithm,
        window,
        members,
        index,
        clockwise: true,
        dataBytes: kind === CollectiveKind.allGather ? dataBytes : Math.max(dataBytes, n),
        maxTree: c % 2 === 0,
        groupRing: false,
      })),
    );
    group.phases.set(key, phases);
    return phases;
  }
}

/** Every two of them meet on the same level, which has no ports that they would share. */
function onOneLevel(levels: readonly LevelSpec[], npus: readonly number[]): boolean {
  const level = levels.find(({ domain }) =>
    npus.some((npu, i) => i > 0 && domain[npu] === domain[npus[0]]),
  );
  if (level === undefined || level.port !== undefined) return false;
  const inner = levels.slice(0, levels.indexOf(level));
  return npus.every(
    (npu, i) =>
      level.domain[npu] === level.domain[npus[0]] &&
      inner.every(({ domain }) =>
        npus.every((other, k) => k === i || domain[other] !== domain[npu]),
      ),
  );
}

function latest(times: Float64Array): number {
  let last = times[0];
  for (const time of times) if (time > last) last = time;
  return last;
}

/** A message of a collective that divides its data: at least one byte, as chunks are at least N. */
function messageShare(sizeBytes: number, n: number): number {
  return Math.max(1, Math.trunc(sizeBytes / n));
}

/** True sizes: the last chunk is the rest. */
function chunkSizes(sizeBytes: number, splits: number): number[] {
  const chunk = Math.ceil(sizeBytes / splits);
  const sizes: number[] = [];
  for (let left = sizeBytes; left > 0; left -= chunk) sizes.push(Math.min(left, chunk));
  return sizes;
}
