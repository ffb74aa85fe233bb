/**
 * From a collective to chunks and phases as ASTRA-sim makes them: logical rings per dimension from
 * the physical shape, dataset splitting, round-robin queues per dimension, and the order of phases.
 */
import { UserError } from '@astrolabe/base';
import type { AstraSystem } from '@astrolabe/config';
import { undefinedGroup } from '../collectives/group-table.js';
import { CollectiveKind, type PhaseSpec, type RingMembers } from '../collectives/phase.js';
import type { DataSet, Stream, StreamPhase, StreamQueue } from '../collectives/streams.js';
import {
  agreeOnOrder,
  type Implementation,
  parseAstraImplementation,
  trueChunks,
} from './chunks.js';
import type { Repairs } from './repairs.js';

/** Endpoint delay of a group's own ring, whatever the system file says. */
const groupEndpointNs = 10;
/** Message tags of collectives begin here; workload tags stay below. */
export const collectiveTagBase = 500_000_000;

/** A logical dimension of one NPU: its ring there. */
interface LogicalDimension {
  readonly implementation: Implementation;
  readonly members: RingMembers;
  readonly index: number;
}

/** Every dimension of every NPU has as many. */
const mostQueues = 1024;

interface PlannerOptions {
  readonly system: AstraSystem;
  readonly npusCount: readonly number[];
  readonly queuesPerDim: number;
  readonly endpointNs: number;
  readonly groups: ReadonlyMap<number, readonly number[]>;
  readonly repairs: Repairs;
  /** Every NPU admits the phases of a queue in one order. */
  readonly agreedOrder?: boolean;
}

export interface CollectiveRequest {
  readonly npu: number;
  readonly kind: CollectiveKind;
  readonly sizeBytes: number;
  /** 0 = all NPUs. */
  readonly group: number;
  readonly involved: (dim: number) => boolean;
  readonly task: number;
  /** What the request is called in errors. */
  readonly at: string;
}

/** What of one NPU persists between collectives. */
interface NpuState {
  readonly queues: StreamQueue[];
  readonly normal: number[];
  readonly first: number[];
  readonly last: number[];
  /** Streams of any collective. */
  streams: number;
  readonly groupStreams: Map<number, number>;
  /** Trees made so far, by collective kind and dimension. */
  readonly trees: Map<number, number>;
}

const kindNames: Readonly<Record<number, keyof AstraSystem['implementations']>> = {
  [CollectiveKind.allReduce]: 'allReduce',
  [CollectiveKind.allGather]: 'allGather',
  [CollectiveKind.reduceScatter]: 'reduceScatter',
  [CollectiveKind.allToAll]: 'allToAll',
};

export class Planner {
  private readonly options: PlannerOptions;
  private readonly numNpus: number;
  /** Why collectives planned so far can never end. */
  readonly endless = new Set<string>();
  private readonly npus: NpuState[];
  private readonly implementations = new Map<CollectiveKind, readonly Implementation[]>();

  constructor(options: PlannerOptions) {
    this.options = options;
    const { npusCount, queuesPerDim, system } = options;
    if (!Number.isInteger(queuesPerDim) || queuesPerDim < 1 || queuesPerDim > mostQueues) {
      throw new UserError(`expected an integer of 1 to ${mostQueues}, got ${queuesPerDim}`, {
        at: '--num-queues-per-dim',
      });
    }
    if (!(system.activeChunks >= 1)) {
      throw new UserError('no chunk may run', { at: 'active-chunks-per-dimension' });
    }
    this.numNpus = npusCount.reduce((product, n) => product * n, 1);
    const threshold = Math.ceil(system.activeChunks / queuesPerDim);
    const dims = npusCount.length;
    const cursors = (): number[] => new Array<number>(dims).fill(0);
    this.npus = Array.from({ length: this.numNpus }, () => ({
      queues: Array.from({ length: dims * queuesPerDim }, () => ({
        streams: [],
        running: 0,
        threshold,
      })),
      normal: cursors(),
      first: cursors(),
      last: cursors(),
      streams: 0,
      groupStreams: new Map(),
      trees: new Map(),
    }));
  }

  /** The streams of a collective on one NPU; none if it can never end (see `repairs.loneMembers`). */
  plan(request: CollectiveRequest): { dataSet: DataSet; streams: Stream[] } {
    const state = this.npus[request.npu];
    const groupMembers = this.membersOf(request);
    const own = groupMembers !== undefined && groupMembers.length < this.numNpus;
    const dims = own ? [this.groupDimension(request, groupMembers)] : this.dimensions(request);
    const all = groupMembers !== undefined;
    const usable = dims
      .map((_, d) => d)
      .filter((d) => dims[d].members.count > 1 && (all || request.involved(d)));
    if (usable.length === 0) this.endless.add(`${request.at}: no dimension has another member`);
    const chunks = this.chunks(request, own ? groupMembers.length : this.numNpus);
    if (chunks.length === 0) this.endless.add(`${request.at}: a collective of 0 bytes never ends`);
    const dataSet: DataSet = { task: request.task, streams: chunks.length, finished: 0 };
    const streams = chunks.map((chunk) => ({
      npu: request.npu,
      tag: this.nextTag(state, request.group),
      priority: 0,
      dataSet,
      phases: this.phases(request, state, dims, usable, chunk, own),
      next: 0,
      queue: undefined,
      started: false,
    }));
    if (this.options.agreedOrder === true) agreeOnOrder(streams);
    return { dataSet, streams };
  }

  static nameOf(kind: CollectiveKind): keyof AstraSystem['implementations'] {
    return kindNames[kind];
  }

  /** Streams of a custom collective bypass the phases but not the numbering. */
  customTag(npu: number, group: number): number {
    return this.nextTag(this.npus[npu], group);
  }

  chunkCount(request: CollectiveRequest): number {
    return this.chunks(request, this.numNpus).length;
  }

  /** @throws UserError if the group is unknown or the NPU is outside it */
  membersOf(request: CollectiveRequest): readonly number[] | undefined {
    if (request.group === 0) return undefined;
    const members = this.options.groups.get(request.group);
    if (members === undefined) {
      throw new UserError(`communicator group ${request.group} is not defined`, {
        at: request.at,
        hint: undefinedGroup,
      });
    }
    const wrong = members.find((npu, i) => npu >= this.numNpus || members.indexOf(npu) !== i);
    if (wrong !== undefined) {
      throw new UserError(`communicator group ${request.group} names NPU ${wrong} wrongly`, {
        at: request.at,
        hint: `each of NPUs 0 to ${this.numNpus - 1} at most once`,
      });
    }
    if (!members.includes(request.npu)) {
      throw new UserError(`NPU ${request.npu} is not in communicator group ${request.group}`, {
        at: request.at,
      });
    }
    return members;
  }

  private nextTag(state: NpuState, group: number): number {
    const own = state.streams++;
    if (group === 0) {
      const { groupTags } = this.options.repairs;
      if (!groupTags) return collectiveTagBase + (own % collectiveTagBase);
    }
    const next = state.groupStreams.get(group) ?? group * 1_000_000;
    state.groupStreams.set(group, next + 1);
    if (this.options.repairs.groupTags) {
      return collectiveTagBase * 4 + group * 2 ** 24 + (next - group * 1_000_000);
    }
    return collectiveTagBase + (next % collectiveTagBase);
  }

  /** Sizes of the chunks. */
  private chunks(request: CollectiveRequest, members: number): number[] {
    const { splits } = this.options.system;
    if (splits <= 0) {
      throw new UserError('preferred-dataset-splits is missing: no number of chunks');
    }
    if (request.sizeBytes < 0) {
      throw new UserError(`a collective of ${request.sizeBytes} bytes`, { at: request.at });
    }
    if (this.options.repairs.trueChunks) {
      return trueChunks(request.kind, request.sizeBytes, splits, members);
    }
    let { sizeBytes } = request;
    const gather = request.kind === CollectiveKind.allGather;
    let chunk = Math.trunc(sizeBytes / splits);
    if (!gather && this.numNpus > chunk) {
      chunk = this.numNpus;
      sizeBytes = splits * this.numNpus;
    }
    if (sizeBytes > 0 && chunk === 0) {
      throw new UserError(
        `all-gather of ${sizeBytes} bytes in ${splits} chunks: chunks of 0 bytes never end`,
        { at: request.at },
      );
    }
    return new Array<number>(sizeBytes > 0 ? Math.ceil(sizeBytes / chunk) : 0).fill(chunk);
  }

  private groupDimension(request: CollectiveRequest, members: readonly number[]): LogicalDimension {
    const configured = this.implementation(request.kind, request.at);
    const only = configured.length === 1 ? configured[0] : undefined;
    if (only?.algorithm === 'doubleBinaryTree') {
      throw new UserError('doubleBinaryTree does not run on a communicator group', {
        at: request.at,
      });
    }
    return {
      implementation: only ?? { algorithm: 'ring', window: Number.POSITIVE_INFINITY, whole: false },
      members: { count: members.length, base: 0, stride: 1, list: members },
      index: members.indexOf(request.npu),
    };
  }

  private dimensions(request: CollectiveRequest): LogicalDimension[] {
    const dims: LogicalDimension[] = [];
    const { npusCount } = this.options;
    const implementations = this.implementation(request.kind, request.at);
    let stride = 1;
    for (let d = 0; d < Math.min(implementations.length, npusCount.length); d++) {
      const implementation = implementations[d];
      if (implementation.whole) {
        dims.push({
          implementation,
          members: { count: this.numNpus, base: 0, stride: 1, list: undefined },
          index: request.npu,
        });
        break;
      }
      const count = npusCount[d];
      const index = Math.trunc(request.npu / stride) % count;
      const base = request.npu - index * stride;
      dims.push({ implementation, members: { count, base, stride, list: undefined }, index });
      stride *= count;
    }
    return dims;
  }

  private implementation(kind: CollectiveKind, at: string): readonly Implementation[] {
    const known = this.implementations.get(kind);
    if (known !== undefined) return known;
    const name = kindNames[kind];
    const list = this.options.system.implementations[name];
    if (list === undefined) {
      throw new UserError(`the system file has no implementation for ${name}`, { at });
    }
    if (list.length > this.options.npusCount.length) {
      throw new UserError(
        `the system file has ${list.length} implementations of ${name} for ` +
          `${this.options.npusCount.length} dimensions`,
        { at },
      );
    }
    const parsed = list.map(parseAstraImplementation);
    this.implementations.set(kind, parsed);
    return parsed;
  }

  private phases(
    request: CollectiveRequest,
    state: NpuState,
    dims: readonly LogicalDimension[],
    usable: readonly number[],
    chunk: number,
    own: boolean,
  ): StreamPhase[] {
    const { kind } = request;
    const { system } = this.options;
    const phases: StreamPhase[] = [];
    let dataBytes = chunk;
    const add = (dim: number, phaseKind: CollectiveKind, turn: Turn): void => {
      const logical = dims[dim];
      phases.push(this.phase(request, state, logical, dim, phaseKind, dataBytes, turn, own));
      const n = logical.members.count;
      if (logical.implementation.algorithm === 'doubleBinaryTree') return;
      if (phaseKind === CollectiveKind.reduceScatter) dataBytes = Math.trunc(dataBytes / n);
      if (phaseKind === CollectiveKind.allGather) dataBytes *= n;
    };
    if (kind !== CollectiveKind.allReduce || !system.localBwAware) {
      const order = kind === CollectiveKind.allGather ? [...usable].reverse() : usable;
      for (const dim of order) add(dim, kind, 'normal');
      return phases;
    }
    const inner = usable.slice(0, -1);
    for (const dim of inner) add(dim, CollectiveKind.reduceScatter, 'first');
    for (const dim of usable.slice(-1)) add(dim, CollectiveKind.allReduce, 'first');
    for (const dim of inner.reverse()) add(dim, CollectiveKind.allGather, 'last');
    return phases;
  }

  private phase(
    request: CollectiveRequest,
    state: NpuState,
    logical: LogicalDimension,
    dim: number,
    kind: CollectiveKind,
    dataBytes: number,
    turn: Turn,
    own: boolean,
  ): StreamPhase {
    const { queue, clockwise } = this.takeQueue(state, dim, turn);
    const { algorithm, window } = logical.implementation;
    let maxTree = false;
    if (algorithm === 'doubleBinaryTree') {
      const n = logical.members.count;
      if (Math.log2(n) % 1 !== 0) {
        throw new UserError(`doubleBinaryTree needs a power of two of NPUs, not ${n}`, {
          at: request.at,
        });
      }
      const key = request.kind * 64 + dim;
      const count = state.trees.get(key) ?? 0;
      state.trees.set(key, count + 1);
      maxTree = count % 2 === 0;
    }
    if (algorithm === 'halvingDoubling' && kind === CollectiveKind.allToAll) {
      throw new UserError('halvingDoubling does not do all-to-all', { at: request.at });
    }
    const { count } = logical.members;
    if (algorithm === 'halvingDoubling' && Math.log2(count) % 1 !== 0) {
      this.endless.add(`halvingDoubling over ${count} NPUs never ends: not a power of two`);
    }
    const spec: PhaseSpec = {
      kind,
      algorithm,
      window,
      members: logical.members,
      index: logical.index,
      clockwise,
      dataBytes,
      maxTree,
      groupRing: own,
    };
    const fixed = own && !this.options.repairs.groupEndpointDelay;
    return { spec, queue, endpointNs: fixed ? groupEndpointNs : this.options.endpointNs };
  }

  private takeQueue(
    state: NpuState,
    dim: number,
    turn: Turn,
  ): { queue: StreamQueue; clockwise: boolean } {
    const count = this.options.queuesPerDim;
    const half = Math.trunc(count / 2);
    const cursor = state[turn];
    let position: number;
    let clockwise: boolean;
    if (turn === 'normal') {
      position = cursor[dim];
      cursor[dim] = (position + 1) % count;
      clockwise = count === 1 || position < half;
    } else if (turn === 'first') {
      position = cursor[dim];
      cursor[dim] = (position + 1) % Math.max(1, half);
      clockwise = true;
    } else {
      position = half + cursor[dim];
      cursor[dim] = (cursor[dim] + 1) % (count - half);
      clockwise = false;
    }
    return { queue: state.queues[dim * count + position], clockwise };
  }
}

type Turn = 'normal' | 'first' | 'last';
