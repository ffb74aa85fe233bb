/**
 * Chunks of collectives on their way through phases: each phase waits in a queue that lets a fixed
 * number run at once. The order of the steps at a phase's end is ASTRA-sim's, exactly: a finished
 * data set tells its node before the chunk leaves its queue.
 */
import type { Core, Transport } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import {
  Phase,
  type PhaseContext,
  type PhaseSpec,
  receivePhase,
  reducePacket,
  startPhase,
  wakePhase,
} from './phase.js';
import type { SharedBus } from './shared-bus.js';
import { startTree, treeEvent } from './tree.js';

export interface StreamQueue {
  readonly streams: Stream[];
  running: number;
  /** Streams that may run at once. */
  readonly threshold: number;
  /** If set, phases start in this order only, whichever is ready first. */
  agreed?: { readonly stream: Stream; readonly phase: number }[];
}

/** A collective on one NPU: done when all its streams are. */
export interface DataSet {
  readonly task: number;
  streams: number;
  finished: number;
}

export interface StreamPhase {
  readonly spec: PhaseSpec;
  readonly queue: StreamQueue;
  readonly endpointNs: number;
}

export interface Stream {
  readonly npu: number;
  readonly tag: number;
  readonly priority: number;
  readonly dataSet: DataSet;
  readonly phases: readonly StreamPhase[];
  next: number;
  queue: StreamQueue | undefined;
  started: boolean;
}

interface StreamOptions {
  readonly core: Core;
  /** The core if absent. */
  readonly transport?: Transport;
  /** Of the NPU's own memory; reductions are free at 0. */
  readonly localMemoryBytesPerSecond: number;
  /** The same of every NPU, where they differ. */
  readonly localMemoryOfNpuGBps?: readonly number[] | undefined;
  readonly onDataSetDone: (dataSet: DataSet) => void;
  /** In a folded run: whose message to here is the twin of the one sent. */
  readonly mirror?: (phase: Phase, to: number) => number;
  /** Replaces the constant endpoint delay, except in groups' own rings. */
  readonly bus?: SharedBus;
}

export class StreamEngine implements PhaseContext {
  readonly core: Core;
  readonly phases: Phase[] = [];
  readonly transport: Transport;
  private readonly free: Phase[] = [];
  private readonly streamOf: (Stream | undefined)[] = [];
  private readonly bytesPerSecond: number;
  private readonly ofNpuGBps: readonly number[] | undefined;
  private readonly onDataSetDone: (dataSet: DataSet) => void;
  private readonly bus: SharedBus | undefined;
  private readonly mirror: StreamOptions['mirror'];

  constructor(options: StreamOptions) {
    this.core = options.core;
    this.transport = options.transport ?? options.core;
    this.bytesPerSecond = options.localMemoryBytesPerSecond;
    this.ofNpuGBps = options.localMemoryOfNpuGBps;
    this.onDataSetDone = options.onDataSetDone;
    this.bus = options.bus;
    this.mirror = options.mirror;
  }

  /** Puts a new stream into its first phase's queue. It must have a phase. */
  submit(stream: Stream): void {
    this.insert(stream);
    this.kick(stream.phases[0].queue);
  }

  handle(kind: number, id: number): void {
    const phase = this.phases[id];
    switch (kind) {
      case Kind.phaseEndpoint:
      case Kind.phaseWake:
        wakePhase(this, phase);
        break;
      case Kind.phaseEndpointReduce:
        reducePacket(this, phase);
        break;
      case Kind.phaseReceived:
        receivePhase(this, phase);
        break;
      default:
        treeEvent(this, phase, kind);
    }
  }

  reduceNs(npu: number, sizeBytes: number): number {
    const own = this.ofNpuGBps;
    return reductionNs(sizeBytes, own === undefined ? this.bytesPerSecond : own[npu] * 1e9);
  }

  send(phase: Phase, to: number, sizeBytes: number): void {
    if (this.mirror !== undefined) {
      const twin = this.mirror(phase, to);
      this.transport.send(twin, phase.npu, phase.tag, sizeBytes, Kind.none, 0);
      return;
    }
    this.transport.send(phase.npu, to, phase.tag, sizeBytes, Kind.none, 0);
  }

  receive(phase: Phase, from: number, sizeBytes: number): void {
    this.transport.receive(from, phase.npu, phase.tag, sizeBytes, Kind.phaseReceived, phase.id);
  }

  enter(phase: Phase, kind: number, leaving: boolean, reduce: boolean, sendBack: boolean): void {
    const { bus } = this;
    if (bus === undefined || (phase.spec as PhaseSpec).groupRing) {
      this.core.after(phase.npu, phase.endpointNs, kind, phase.id);
      return;
    }
    bus.pass(phase.npu, leaving, phase.messageBytes, reduce, sendBack, kind, phase.id);
  }

  phaseEnded(phase: Phase): void {
    const stream = this.streamOf[phase.id] as Stream;
    this.streamOf[phase.id] = undefined;
    this.free.push(phase);
    this.proceed(stream);
  }

  private proceed(stream: Stream): void {
    const old = stream.queue as StreamQueue;
    const last = stream.next === stream.phases.length;
    if (last) {
      const dataSet = stream.dataSet;
      dataSet.finished++;
      if (dataSet.finished === dataSet.streams) this.onDataSetDone(dataSet);
    }
    removeStream(old.streams, stream);
    if (last) {
      old.running--;
      this.kick(old);
      return;
    }
    stream.started = false;
    this.insert(stream);
    old.running--;
    this.kick(old);
    this.kick(stream.queue as StreamQueue);
  }

  /** Behind what already runs and what has the same or a higher priority. */
  private insert(stream: Stream): void {
    const queue = stream.phases[stream.next].queue;
    const list = queue.streams;
    let at = 0;
    while (at < list.length && list[at].started) at++;
    while (at < list.length && list[at].priority >= stream.priority) at++;
    if (at === list.length) list.push(stream);
    else list.splice(at, 0, stream);
    stream.queue = queue;
  }

  private kick(queue: StreamQueue): void {
    if (queue.agreed !== undefined) {
      this.kickAgreed(queue, queue.agreed);
      return;
    }
    const list = queue.streams;
    for (let i = queue.running; i < list.length && queue.running < queue.threshold; i++) {
      const stream = list[i];
      stream.started = true;
      queue.running++;
      this.start(stream);
    }
  }

  private kickAgreed(
    queue: StreamQueue,
    agreed: { readonly stream: Stream; readonly phase: number }[],
  ): void {
    while (queue.running < queue.threshold && agreed.length > 0) {
      const { stream, phase } = agreed[0];
      if (stream.queue !== queue || stream.next !== phase || stream.started) return;
      agreed.shift();
      stream.started = true;
      queue.running++;
      this.start(stream);
    }
  }

  private start(stream: Stream): void {
    const { spec, endpointNs } = stream.phases[stream.next++];
    const phase = this.takePhase();
    this.streamOf[phase.id] = stream;
    phase.npu = stream.npu;
    phase.tag = stream.tag;
    phase.spec = spec;
    phase.endpointNs = endpointNs;
    if (spec.algorithm === 'doubleBinaryTree') startTree(this, phase);
    else startPhase(this, phase);
  }

  private takePhase(): Phase {
    const known = this.free.pop();
    if (known !== undefined) return known;
    const phase = new Phase(this.phases.length);
    this.phases.push(phase);
    return phase;
  }
}

/** Without the array that `splice` would make, where the stream is the last one: nearly always. */
function removeStream(list: Stream[], stream: Stream): void {
  const at = list.indexOf(stream);
  if (at === list.length - 1) list.pop();
  else list.splice(at, 1);
}

/** One write and two reads of the bytes about to be sent; free when the speed is unknown (0). */
export function reductionNs(sizeBytes: number, bytesPerSecond: number): number {
  const once = Math.trunc((sizeBytes / bytesPerSecond) * 1e9);
  return Number.isFinite(once) ? 3 * once : 0;
}
