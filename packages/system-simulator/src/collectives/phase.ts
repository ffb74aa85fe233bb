/**
 * One phase of one chunk on one NPU, run by messages: ring, direct and halving-doubling share this
 * engine (ASTRA-sim's packets: wait at the endpoint, perhaps reduce, be sent, be answered). The tree
 * is in tree.ts. Times ns, sizes bytes.
 */
import type { Core, Transport } from '../core.js';
import { Kind } from '../kernel/kinds.js';

export const CollectiveKind = {
  allReduce: 0,
  allGather: 2,
  allToAll: 6,
  reduceScatter: 7,
} as const;
export type CollectiveKind = (typeof CollectiveKind)[keyof typeof CollectiveKind];

export type Algorithm = 'ring' | 'direct' | 'halvingDoubling' | 'doubleBinaryTree';

/** The members of a phase: `list` in ring order, or every `stride`-th NPU from `base`. */
export interface RingMembers {
  readonly count: number;
  readonly base: number;
  readonly stride: number;
  readonly list: readonly number[] | undefined;
}

/** NPU at a position of the ring. */
export function memberAt(members: RingMembers, index: number): number {
  return members.list === undefined ? members.base + index * members.stride : members.list[index];
}

/** What a phase is; made when the collective is issued. */
export interface PhaseSpec {
  readonly kind: CollectiveKind;
  readonly algorithm: Algorithm;
  /** Of `direct`: messages under way at once; Infinity for no limit. */
  readonly window: number;
  readonly members: RingMembers;
  /** Own position among the members. */
  readonly index: number;
  readonly clockwise: boolean;
  /** Data flowing into the phase. */
  readonly dataBytes: number;
  /** Of `doubleBinaryTree`: which of the two trees. */
  readonly maxTree: boolean;
  /** A communicator group's own ring: constant endpoint delay, other refill of `direct`. */
  readonly groupRing: boolean;
}

/** A phase that runs. Fields are reused by the pool. */
export class Phase {
  readonly id: number;
  npu = 0;
  tag = 0;
  spec: PhaseSpec | undefined;
  endpointNs = 0;
  /** Reduction time of the packet being inserted. */
  reduceNs = 0;
  left = 0;
  window = 0;
  free = 0;
  plain = 0;
  other = 0;
  refill = 0;
  toggled = false;
  received = 0;
  messageBytes = 0;
  /** `direct`: distance of the next packet's peers. `halvingDoubling`: the offset. */
  offset = 0;
  scale = 1;
  /** Packets inserted and not sent: peers and sizes, from `packetHead` to before `packetEnd`. */
  readonly packetTo: number[] = [];
  readonly packetFrom: number[] = [];
  readonly packetBytes: number[] = [];
  packetHead = 0;
  packetEnd = 0;
  /** Tree state. */
  parent = -1;
  childA = -1;
  childB = -1;
  reduced = 0;

  constructor(id: number) {
    this.id = id;
  }
}

/** What the engine needs from its surroundings. */
export interface PhaseContext {
  readonly core: Core;
  readonly transport: Transport;
  readonly phases: Phase[];
  /** One write and two reads at memory speed, per reduced packet: ns for its bytes. */
  reduceNs(npu: number, sizeBytes: number): number;
  send(phase: Phase, to: number, sizeBytes: number): void;
  receive(phase: Phase, from: number, sizeBytes: number): void;
  /**
   * A packet crosses the NPU's boundary: the endpoint delay (or the shared bus), then (kind, phase).
   * `leaving`: from the NPU to memory. The flags matter to the shared bus only.
   */
  enter(phase: Phase, kind: number, leaving: boolean, reduce: boolean, sendBack: boolean): void;
  phaseEnded(phase: Phase): void;
}

/**
 * Messages that each of `n` members sends in a phase. Ring: n - 1 to reduce, n - 1 to gather (Patarasuk
 * and Yuan, JPDC 69(2), 2009); in a ring all-to-all every piece is passed on hop by hop, as ASTRA-sim
 * does, 1 + ... + (n - 1). Halving-doubling: log2 n each way (Thakur, Rabenseifner, Gropp 2005, 4.4).
 */
export function sendsOf(kind: CollectiveKind, algorithm: Algorithm, n: number): number {
  if (algorithm === 'halvingDoubling') {
    const levels = Math.log2(n);
    return kind === CollectiveKind.allReduce ? Math.trunc(2 * levels) : Math.trunc(levels);
  }
  if (kind === CollectiveKind.allReduce) return 2 * (n - 1);
  if (algorithm === 'ring' && kind === CollectiveKind.allToAll) return (n * (n - 1)) / 2;
  return n - 1;
}

/** Begins a phase whose `spec` is set: fills its window with packets. */
export function startPhase(context: PhaseContext, phase: Phase): void {
  const spec = phase.spec as PhaseSpec;
  const n = spec.members.count;
  phase.left = sendsOf(spec.kind, spec.algorithm, n);
  phase.free = 0;
  phase.plain = 0;
  phase.other = 0;
  phase.toggled = false;
  phase.received = 0;
  phase.packetHead = 0;
  phase.packetEnd = 0;
  phase.messageBytes =
    spec.kind === CollectiveKind.allGather ? spec.dataBytes : Math.trunc(spec.dataBytes / n);
  phase.window = 1;
  phase.refill = n - 1;
  if (spec.algorithm === 'direct') {
    phase.window = Math.min(spec.window, n - 1);
    phase.refill = spec.groupRing ? (n - 1) * phase.window : phase.window;
    phase.offset = 1;
  } else if (spec.algorithm === 'halvingDoubling') {
    startHalvingDoubling(phase, spec, n);
  }
  const window = phase.window;
  for (let i = 0; i < window; i++) insertPacket(context, phase);
}

function startHalvingDoubling(phase: Phase, spec: PhaseSpec, n: number): void {
  phase.refill = Math.trunc(Math.log2(n) - 1);
  if (spec.kind === CollectiveKind.allGather) {
    phase.offset = Math.trunc(n / 2);
    phase.scale = 0.5;
    phase.messageBytes = spec.dataBytes;
  } else {
    phase.offset = 1;
    phase.scale = 2;
    phase.messageBytes = Math.trunc(spec.dataBytes / 2);
  }
}

function insertPacket(context: PhaseContext, phase: Phase): void {
  const spec = phase.spec as PhaseSpec;
  if (phase.plain === 0 && phase.other === 0) {
    phase.plain = phase.window;
    phase.other = phase.refill;
    phase.toggled = !phase.toggled;
  }
  addPacket(phase, spec);
  if (phase.plain > 0) {
    phase.plain--;
    context.enter(phase, Kind.phaseEndpoint, true, false, false);
  } else {
    const reduce =
      spec.kind === CollectiveKind.reduceScatter ||
      (spec.kind === CollectiveKind.allReduce && phase.toggled);
    const sendBack = phase.other > phase.window;
    phase.other--;
    if (reduce) phase.reduceNs = context.reduceNs(phase.npu, phase.messageBytes);
    const kind = reduce ? Kind.phaseEndpointReduce : Kind.phaseEndpoint;
    context.enter(phase, kind, false, reduce, sendBack);
  }
  if (spec.algorithm === 'halvingDoubling') advanceHalvingDoubling(phase, spec);
}

function addPacket(phase: Phase, spec: PhaseSpec): void {
  const { members, index, clockwise } = spec;
  const n = members.count;
  let to: number;
  let from: number;
  if (spec.algorithm === 'halvingDoubling') {
    to = halvingPeer(phase.offset, index, n);
    from = to;
  } else {
    const distance = spec.algorithm === 'direct' ? phase.offset : 1;
    const next = (index + distance) % n;
    const previous = (index - distance + n) % n;
    to = clockwise ? next : previous;
    from = clockwise ? previous : next;
    if (spec.algorithm === 'direct') phase.offset = distance === n - 1 ? 1 : distance + 1;
  }
  const at = phase.packetEnd++;
  phase.packetTo[at] = memberAt(members, to);
  phase.packetFrom[at] = memberAt(members, from);
  phase.packetBytes[at] = phase.messageBytes;
}

function halvingPeer(offset: number, index: number, n: number): number {
  const clockwise = offset === 0 || Math.trunc(index / offset) % 2 === 0;
  return clockwise ? (index + offset) % n : (((index - offset) % n) + n) % n;
}

function advanceHalvingDoubling(phase: Phase, spec: PhaseSpec): void {
  const n = spec.members.count;
  phase.offset = Math.trunc(phase.offset * phase.scale);
  phase.messageBytes = Math.trunc(phase.messageBytes / phase.scale);
  if (spec.kind === CollectiveKind.allReduce && phase.offset === n) {
    phase.scale = 0.5;
    phase.offset = Math.trunc(phase.offset * phase.scale);
    phase.messageBytes = Math.trunc(phase.messageBytes / phase.scale);
  }
}

/** The packet has passed the endpoint and is to be reduced first. */
export function reducePacket(context: PhaseContext, phase: Phase): void {
  context.core.after(phase.npu, phase.reduceNs, Kind.phaseWake, phase.id);
}

/** A packet is ready to be sent. */
export function wakePhase(context: PhaseContext, phase: Phase): void {
  const spec = phase.spec as PhaseSpec;
  phase.free++;
  if (spec.algorithm === 'direct' && spec.kind === CollectiveKind.allReduce) {
    const n = spec.members.count;
    if (phase.left <= n - 1) {
      // The gather half starts when all pieces of the first half have come.
      if (phase.received < n - 1) return;
      for (let i = 0; i < phase.window; i++) sendReady(context, phase);
      endIfDone(context, phase);
      return;
    }
  }
  sendReady(context, phase);
  endIfDone(context, phase);
}

function sendReady(context: PhaseContext, phase: Phase): void {
  const head = phase.packetHead;
  if (head === phase.packetEnd || phase.left === 0 || phase.free === 0) return;
  const to = phase.packetTo[head];
  const from = phase.packetFrom[head];
  const sizeBytes = phase.packetBytes[head];
  if (head + 1 === phase.packetEnd) {
    phase.packetHead = 0;
    phase.packetEnd = 0;
  } else {
    phase.packetHead = head + 1;
  }
  phase.left--;
  phase.free--;
  context.send(phase, to, sizeBytes);
  context.receive(phase, from, sizeBytes);
}

function endIfDone(context: PhaseContext, phase: Phase): void {
  if (phase.left === 0 && phase.free === phase.window) context.phaseEnded(phase);
}

/** The answer to a packet came. */
export function receivePhase(context: PhaseContext, phase: Phase): void {
  phase.received++;
  insertPacket(context, phase);
}
