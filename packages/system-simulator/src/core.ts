/**
 * What all layers share: the clock, the NPUs' own queues, messages on their way and receives that
 * wait for them. A continuation is two integers (kind, arg), in an event as in a message, so the
 * whole state is plain data. Times ns, sizes bytes.
 */
import { grownFloat64, grownInt32 } from '@astrolabe/base';
import type { LinkCounters } from './counters.js';
import { EventQueue } from './kernel/event-queue.js';
import { Kind } from './kernel/kinds.js';
import { type KeptEvent, NpuQueues } from './kernel/npu-queues.js';
import { Mailbox } from './network/mailbox.js';

/** Takes a message from its source; ends in `core.arrive(message)` at its destination. */
export interface Network {
  send(core: Core, message: number): void;
  /** Its own events. */
  handle?(core: Core, kind: number, arg: number): void;
  counters?(): LinkCounters[];
}

/** How messages are sent and received; the core itself, or a protocol over it. */
export interface Transport {
  send(src: number, dst: number, tag: number, sizeBytes: number, kind: number, arg: number): number;
  receive(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): boolean;
}

/** One line of the message trace: S = send, R = receive posted, A = arrival. */
export type MessageListener = (
  event: 'S' | 'R' | 'A',
  timeNs: number,
  src: number,
  dst: number,
  tag: number,
  sizeBytes: number,
) => void;

export class Core implements Transport {
  readonly queue = new EventQueue();
  readonly npuQueues: NpuQueues;
  readonly mailbox = new Mailbox();
  readonly network: Network;
  readonly numNpus: number;
  /** Kinds that are not the core's own; set once by whoever assembles the layers. */
  layers: (kind: number, arg: number) => void = () => {};
  onMessage: MessageListener | undefined;
  /** Bytes sent per NPU. */
  readonly sentBytes: Float64Array;

  messageTag = new Float64Array(256);
  messageSrc = new Int32Array(256);
  messageDst = new Int32Array(256);
  messageSize = new Float64Array(256);
  /** Continuation of the sender when the message arrives. */
  messageKind = new Int32Array(256);
  messageArg = new Int32Array(256);
  /** 1 if the mailbox was told that it is on its way. */
  messageAnnounced = new Uint8Array(256);
  /** For the network: how far it is, and the next message in a link's queue. */
  messageHop = new Int32Array(256);
  messageNext = new Int32Array(256);
  private freeMessage = -1;
  private messagesMade = 0;

  constructor(numNpus: number, network: Network) {
    this.numNpus = numNpus;
    this.network = network;
    this.npuQueues = new NpuQueues(numNpus, this.queue, Kind.npuList);
    this.sentBytes = new Float64Array(numNpus);
  }

  get nowNs(): number {
    return this.queue.time;
  }

  /** Runs an event: the core's own kinds here, the others in the layers. */
  readonly dispatch = (kind: number, arg: number): void => {
    switch (kind) {
      case Kind.npuList:
        this.npuQueues.fire(arg, this.dispatch);
        break;
      case Kind.arrival:
        this.arrive(arg);
        break;
      case Kind.linkDone:
      case Kind.linkArrive:
        this.network.handle?.(this, kind, arg);
        break;
      default:
        this.layers(kind, arg);
    }
  };

  /** Everything at and before `untilNs`. */
  runThrough(untilNs: number): void {
    const { queue } = this;
    while (queue.peekTime() <= untilNs && queue.pop()) this.dispatch(queue.kind, queue.arg);
  }

  /**
   * Forgets all events and goes back to a time; what they were about must be forgotten, too.
   * @param keeps events that are to come all the same
   * @returns these, in their order, for `resume`
   */
  restartAt(timeNs: number, keeps: (kind: number, arg: number) => boolean): KeptEvent[] {
    const { queue, npuQueues } = this;
    const kept: KeptEvent[] = [];
    while (queue.pop()) {
      const { time: atNs, kind, arg } = queue;
      if (kind === Kind.npuList) npuQueues.keep(arg, keeps, kept);
      else if (keeps(kind, arg)) kept.push({ atNs, npu: -1, kind, arg });
    }
    npuQueues.clear();
    queue.restartAt(timeNs);
    return kept;
  }

  /** Schedules events again that were kept. */
  resume(events: readonly KeptEvent[]): void {
    for (const { atNs, npu, kind, arg } of events) {
      if (npu < 0) this.queue.schedule(atNs, kind, arg);
      else this.after(npu, atNs - this.nowNs, kind, arg);
    }
  }

  /** Runs (kind, arg) on the NPU's own queue after `delayNs`. */
  after(npu: number, delayNs: number, kind: number, arg: number): void {
    this.npuQueues.register(npu, delayNs, kind, arg);
  }

  /** Sends a message; (kind, arg) runs at the sender when it has arrived. Returns the message. */
  send(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): number {
    const message = this.newMessage(src, dst, tag, sizeBytes, kind, arg);
    this.network.send(this, message);
    return message;
  }

  /** As `send`, but it arrives after `delayNs` whatever the network says. */
  sendTimed(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    arg: number,
    delayNs: number,
  ): number {
    const message = this.newMessage(src, dst, tag, sizeBytes, Kind.nodeEnd, arg);
    this.queue.schedule(this.queue.time + delayNs, Kind.arrival, message);
    return message;
  }

  private newMessage(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): number {
    const message = this.takeMessage();
    this.messageTag[message] = tag;
    this.messageSrc[message] = src;
    this.messageDst[message] = dst;
    this.messageSize[message] = sizeBytes;
    this.messageKind[message] = kind;
    this.messageArg[message] = arg;
    this.messageAnnounced[message] = 0;
    this.messageHop[message] = 0;
    this.messageNext[message] = -1;
    this.sentBytes[src] += sizeBytes;
    if (this.onMessage !== undefined) {
      this.onMessage('S', this.queue.time, src, dst, tag, sizeBytes);
    }
    return message;
  }

  /** Posts a receive at `dst`; (kind, arg) runs when the message is there. True if it is already. */
  receive(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): boolean {
    if (this.onMessage !== undefined) {
      this.onMessage('R', this.queue.time, src, dst, tag, sizeBytes);
    }
    if (!this.mailbox.receive(tag, src, dst, sizeBytes, kind, arg)) return false;
    this.queue.schedule(this.queue.time, kind, arg);
    return true;
  }

  /** The message reached its destination: the sender's continuation, then the receiver's. */
  arrive(message: number): void {
    const tag = this.messageTag[message];
    const src = this.messageSrc[message];
    const dst = this.messageDst[message];
    const sizeBytes = this.messageSize[message];
    const kind = this.messageKind[message];
    const arg = this.messageArg[message];
    const announced = this.messageAnnounced[message];
    this.messageNext[message] = this.freeMessage;
    this.freeMessage = message;
    if (this.onMessage !== undefined) {
      this.onMessage('A', this.queue.time, src, dst, tag, sizeBytes);
    }
    if (kind !== Kind.none) this.dispatch(kind, arg);
    if (announced !== 0) this.mailbox.retract(tag, src, dst, sizeBytes);
    if (this.mailbox.arrive(tag, src, dst, sizeBytes)) {
      this.dispatch(this.mailbox.kind, this.mailbox.arg);
    }
  }

  private takeMessage(): number {
    const free = this.freeMessage;
    if (free >= 0) {
      this.freeMessage = this.messageNext[free];
      return free;
    }
    const message = this.messagesMade++;
    if (message === this.messageTag.length) {
      this.messageTag = grownFloat64(this.messageTag);
      this.messageSrc = grownInt32(this.messageSrc);
      this.messageDst = grownInt32(this.messageDst);
      this.messageSize = grownFloat64(this.messageSize);
      this.messageKind = grownInt32(this.messageKind);
      this.messageArg = grownInt32(this.messageArg);
      this.messageHop = grownInt32(this.messageHop);
      this.messageNext = grownInt32(this.messageNext);
      const announced = new Uint8Array(this.messageAnnounced.length * 2);
      announced.set(this.messageAnnounced);
      this.messageAnnounced = announced;
    }
    return message;
  }
}
