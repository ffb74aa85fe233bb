/**
 * Collectives of the default machine: over any group of NPUs, known by (members, how many before), so
 * that NPUs agree on which is which whatever else they ran. Where messages do not disturb each other
 * the end times are computed when the last member has begun; otherwise chunks run on the message
 * engine. A measured group takes its measured time on every path. Times ns, sizes bytes.
 */
import { assert, UserError } from '@astrolabe/base';
import type { SizeCurve } from '@astrolabe/config';
import { Core, type Network } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import type { Implementation, MachineSpec } from '../machine-spec.js';
import type { MeasuredTimes } from '../network/measured-times.js';
import type { DelayNs } from '../network/topology.js';
import { directTimes, ringTimes, type StepTimes, uniformRingNs } from './closed-times.js';
import { type Algorithm, CollectiveKind, type RingMembers } from './phase.js';
import { reductionNs, StreamEngine, type StreamQueue } from './streams.js';
import { binaryTree } from './tree.js';

export interface Group {
  readonly key: string;
  readonly members: readonly number[];
  readonly indexOf: ReadonlyMap<number, number>;
  /** Collectives issued so far, per member. */
  readonly issued: Int32Array;
  readonly sites: Map<number, Site>;
  /** Common duration when all begin together, by kind and size; NaN if they end apart. */
  readonly together: Map<number, number>;
  readonly steps: Map<number, StepTimes>;
  /** Measured times by kind; null: the network decides. */
  readonly measured: (SizeCurve | null | undefined)[];
}

/** One collective: who has begun it. */
export interface Site {
  readonly group: Group;
  readonly sequence: number;
  readonly kind: CollectiveKind;
  readonly sizeBytes: number;
  readonly firstNpu: number;
  readonly beginNs: Float64Array;
  readonly tasks: Int32Array;
  arrived: number;
  /** First tag of its chunks on the message engine. */
  readonly tag: number;
}

interface Plan {
  readonly algorithm: Algorithm;
  readonly window: number;
}

export class GroupCollectives {
  readonly engine: StreamEngine;
  private readonly core: Core;
  private readonly spec: MachineSpec;
  private readonly delayNs: DelayNs;
  private readonly plans: Readonly<Record<number, Plan>>;
  private readonly closed: boolean;
  private readonly measured: MeasuredTimes | undefined;
  private readonly groups = new Map<string, Group>();
  private readonly groupOfList = new WeakMap<readonly number[], Group>();
  private nextTag = -1;

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
    this.plans = {
      [CollectiveKind.allReduce]: parseImplementation(spec.collectives.allReduce),
      [CollectiveKind.allGather]: parseImplementation(spec.collectives.allGather),
      [CollectiveKind.reduceScatter]: parseImplementation(spec.collectives.reduceScatter),
      [CollectiveKind.allToAll]: parseImplementation(spec.collectives.allToAll),
    };
    this.closed = spec.fastPaths !== false && spec.network.congestion === 'unaware';
    this.engine = new StreamEngine({
      core,
      localMemoryBytesPerSecond: spec.localMemoryBandwidthGBps * 1e9,
      onDataSetDone: (dataSet) => onDone(dataSet.task),
    });
  }

  /** @throws UserError on repeated members */
  group(members: readonly number[]): Group {
    const known = this.groupOfList.get(members);
    if (known !== undefined) return known;
    const key = members.join();
    let group = this.groups.get(key);
    if (group === undefined) {
      const indexOf = new Map(members.map((npu, index) => [npu, index]));
      if (indexOf.size !== members.length) {
        throw new UserError(`communicator group [${key}] names an NPU twice`);
      }
      group = {
        key,
        members,
        indexOf,
        issued: new Int32Array(members.length),
        sites: new Map(),
        together: new Map(),
        steps: new Map(),
        measured: [],
      };
      this.groups.set(key, group);
    }
    this.groupOfList.set(members, group);
    return group;
  }

  /** NPU `npu` begins its next collective of the group; `task` ends with it. */
  begin(group: Group, npu: number, kind: CollectiveKind, sizeBytes: number, task: number): void {
    const index = group.indexOf.get(npu);
    if (index === undefined) {
      throw new UserError(`NPU ${npu} issues a collective of group [${group.key}], not its own`);
    }
    const n = group.members.length;
    if (n === 1 || sizeBytes === 0) {
      this.core.after(npu, 0, Kind.nodeEnd, task);
      return;
    }
    const site = this.site(group, index, kind, sizeBytes, npu);
    site.beginNs[index] = this.core.nowNs;
    site.tasks[index] = task;
    site.arrived++;
    if (site.arrived === n) group.sites.delete(site.sequence);
    if (!this.isClosed(group, kind, sizeBytes)) {
      this.launch(site, npu, index, task);
      return;
    }
    if (site.arrived < n) return;
    const alike = site.beginNs.every((time) => time === site.beginNs[0]);
    if (this.endTimes(group, kind, sizeBytes, site.beginNs, alike)) {
      for (let i = 0; i < n; i++) {
        this.core.queue.schedule(site.beginNs[i], Kind.nodeEnd, site.tasks[i]);
      }
    } else {
      assert(false, 'a closed collective without end times');
    }
  }

  /** All members begin now as one; NaN if they would not end together. */
  togetherNs(group: Group, kind: CollectiveKind, sizeBytes: number): number {
    const n = group.members.length;
    if (n === 1 || sizeBytes === 0) return 0;
    const key = sizeBytes * 16 + kind;
    let duration = group.together.get(key);
    if (duration !== undefined) return duration;
    const times = new Float64Array(n);
    const closed = this.isClosed(group, kind, sizeBytes);
    if (!closed || !this.endTimes(group, kind, sizeBytes, times, true)) {
      this.simulate(group, kind, sizeBytes, times);
    }
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
    const n = group.members.length;
    if (n === 1) return 0;
    const { algorithm } = this.plans[kind];
    if (algorithm === 'doubleBinaryTree') {
      const node = binaryTree(n, true)[index];
      const links = +(node.parent >= 0) + +(node.left >= 0) + +(node.right >= 0);
      return links * sizeBytes;
    }
    if (kind === CollectiveKind.allGather) return (n - 1) * sizeBytes;
    const share = sizeBytes / n;
    if (kind === CollectiveKind.allReduce) return 2 * (n - 1) * share;
    const ringAllToAll = kind === CollectiveKind.allToAll && algorithm === 'ring';
    return (ringAllToAll ? (n * (n - 1)) / 2 : n - 1) * share;
  }

  /** Collectives that some members have not begun. */
  openSites(): Site[] {
    const open: Site[] = [];
    for (const group of this.groups.values()) open.push(...group.sites.values());
    return open;
  }

  private site(
    group: Group,
    index: number,
    kind: CollectiveKind,
    sizeBytes: number,
    npu: number,
  ): Site {
    const sequence = group.issued[index]++;
    let site = group.sites.get(sequence);
    if (site === undefined) {
      site = {
        group,
        sequence,
        kind,
        sizeBytes,
        firstNpu: npu,
        beginNs: new Float64Array(group.members.length),
        tasks: new Int32Array(group.members.length).fill(-1),
        arrived: 0,
        tag: this.nextTag,
      };
      this.nextTag -= this.spec.splits;
      group.sites.set(sequence, site);
      return site;
    }
    if (site.kind !== kind || site.sizeBytes !== sizeBytes) {
      throw new UserError(
        `collective ${sequence} of group [${group.key}]: NPU ${npu} issues kind ${kind} of ` +
          `${sizeBytes} bytes, NPU ${site.firstNpu} kind ${site.kind} of ${site.sizeBytes} bytes`,
      );
    }
    return site;
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
    if (!this.closed || (this.spec.splits > 1 && sizeBytes > 1)) return false;
    const { algorithm, window } = this.plans[kind];
    if (algorithm === 'ring') return true;
    const full = window === Number.POSITIVE_INFINITY;
    return algorithm === 'direct' && full && kind !== CollectiveKind.allReduce;
  }

  /** Begin times to end times; false if the closed forms do not cover it. */
  private endTimes(
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    times: Float64Array,
    alike: boolean,
  ): boolean {
    const measured = this.measuredOf(group, kind);
    if (measured !== null) {
      times.fill(latest(times) + measured.timeNs(sizeBytes));
      return true;
    }
    const { members } = group;
    const n = members.length;
    const { algorithm } = this.plans[kind];
    const messageBytes = kind === CollectiveKind.allGather ? sizeBytes : messageShare(sizeBytes, n);
    if (algorithm === 'direct') {
      directTimes(
        kind,
        this.spec.endpointDelayNs,
        this.reduceNs(messageBytes),
        (from, to) => this.delayNs(members[from], members[to], messageBytes),
        times,
      );
      return true;
    }
    const step = this.step(group, messageBytes);
    if (alike && step.uniform) times.fill(times[0] + uniformRingNs(kind, n, step));
    else ringTimes(kind, step, times);
    return true;
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
      reduceNs: this.reduceNs(messageBytes),
      hopNs,
      uniform: hopNs.every((delay) => delay === hopNs[0]),
    };
    group.steps.set(messageBytes, step);
    return step;
  }

  private reduceNs(sizeBytes: number): number {
    return reductionNs(sizeBytes, this.spec.localMemoryBandwidthGBps * 1e9);
  }

  /** Runs a collective alone on a machine of its own, all members beginning at `times`. */
  private simulate(
    group: Group,
    kind: CollectiveKind,
    sizeBytes: number,
    times: Float64Array,
  ): void {
    const network: Network = {
      send: (core, message) => {
        const { messageSrc: src, messageDst: dst, messageSize: size } = core;
        const delay = this.delayNs(src[message], dst[message], size[message]);
        core.queue.schedule(core.nowNs + delay, Kind.arrival, message);
      },
    };
    const core = new Core(this.core.numNpus, network);
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
    const copy = lone.group(group.members);
    group.members.forEach((npu, i) => {
      lone.begin(copy, npu, kind, sizeBytes, i);
    });
    const { queue } = core;
    while (queue.pop()) core.dispatch(queue.kind, queue.arg);
  }

  private launch(site: Site, npu: number, index: number, task: number): void {
    const { kind, sizeBytes, group } = site;
    const { algorithm, window } = this.plans[kind];
    const n = group.members.length;
    const members: RingMembers = { count: n, base: 0, stride: 1, list: group.members };
    const log = Math.log2(n);
    if ((algorithm === 'halvingDoubling' || algorithm === 'doubleBinaryTree') && log % 1 !== 0) {
      throw new UserError(
        `${algorithm} needs a power of two of NPUs, group [${group.key}] has ${n}`,
      );
    }
    const chunks = chunkSizes(sizeBytes, this.spec.splits);
    const queue: StreamQueue = { streams: [], running: 0, threshold: this.spec.activeChunks };
    const dataSet = { task, streams: chunks.length, finished: 0 };
    chunks.forEach((dataBytes, c) => {
      this.engine.submit({
        npu,
        tag: site.tag - c,
        priority: 0,
        dataSet,
        next: 0,
        queue: undefined,
        started: false,
        phases: [
          {
            queue,
            endpointNs: this.spec.endpointDelayNs,
            spec: {
              kind,
              algorithm,
              window,
              members,
              index,
              clockwise: true,
              dataBytes: kind === CollectiveKind.allGather ? dataBytes : Math.max(dataBytes, n),
              maxTree: c % 2 === 0,
              groupRing: false,
            },
          },
        ],
      });
    });
  }
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

export function parseImplementation(name: Implementation): Plan {
  const direct = /^direct(\d*)$/.exec(name);
  if (direct !== null) {
    return {
      algorithm: 'direct',
      window: direct[1] === '' ? Number.POSITIVE_INFINITY : Number(direct[1]),
    };
  }
  return { algorithm: name as Algorithm, window: Number.POSITIVE_INFINITY };
}
