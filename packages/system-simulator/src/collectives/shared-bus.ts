/**
 * The bus between an NPU and its memory, LogGP style, that replaces the constant endpoint delay: two
 * ends that take turns, an inner bus at the NPU's end, optional processing of what arrives. After
 * ASTRA-sim's `model-shared-bus`. Times ns, sizes bytes; delays are computed in 32-bit floats as
 * there.
 */
import type { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';

interface BusSpec {
  readonly L: number;
  readonly o: number;
  readonly g: number;
  /** ns per byte. */
  readonly G: number;
  readonly localReductionDelay: number;
}

/** ns per byte of the inner bus, as ASTRA-sim has it. */
const innerG = 0.0038;
/** Transfers in a row after which the other end has precedence. */
const maxInARow = 8;

const State = { free: 0, sending: 1, receiving: 2 } as const;

/** What happens to a packet that has passed an inner bus. */
const After = { callback: 0, send: 1, process: 2, fetch: 4 } as const;

interface Packet {
  readonly sizeBytes: number;
  readonly npu: number;
  reduce: boolean;
  sendBack: boolean;
  /** Continuation of the packet itself. */
  readonly kind: number;
  readonly arg: number;
  /** On an inner bus: the packet it carries, its end, and what comes then. */
  readonly carries:
    | { readonly packet: Packet; readonly end: BusEnd; readonly then: number }
    | undefined;
}

interface BusEnd {
  readonly id: number;
  readonly npu: number;
  readonly G: number;
  partner: BusEnd;
  inner: { readonly npuSide: BusEnd; readonly memorySide: BusEnd } | undefined;
  state: number;
  previous: number;
  lastNs: number;
  inARow: number;
  readonly sends: Packet[];
  readonly receives: Packet[];
  readonly processing: Packet[];
  busyProcessing: boolean;
}

export class SharedBus {
  private readonly core: Core;
  private readonly spec: BusSpec;
  private readonly ends: BusEnd[] = [];
  private readonly npuSide: BusEnd[] = [];
  private readonly memorySide: BusEnd[] = [];

  constructor(core: Core, spec: BusSpec) {
    this.core = core;
    this.spec = {
      L: Math.trunc(spec.L),
      o: Math.trunc(spec.o),
      g: Math.trunc(spec.g),
      G: Math.fround(spec.G),
      localReductionDelay: Math.trunc(spec.localReductionDelay),
    };
    for (let npu = 0; npu < core.numNpus; npu++) {
      const [outer, memory] = this.addBus(npu, this.spec.G);
      const [npuSide, memorySide] = this.addBus(npu, Math.fround(innerG));
      outer.inner = { npuSide, memorySide };
      this.npuSide.push(outer);
      this.memorySide.push(memory);
    }
  }

  /** (kind, arg) runs when the packet has passed. */
  pass(
    npu: number,
    leaving: boolean,
    sizeBytes: number,
    reduce: boolean,
    sendBack: boolean,
    kind: number,
    arg: number,
  ): void {
    const end = leaving ? this.npuSide[npu] : this.memorySide[npu];
    const size = sizeBytes | 0;
    this.enter(end, { sizeBytes: size, npu, reduce, sendBack, kind, arg, carries: undefined });
  }

  handle(kind: number, id: number): void {
    const end = this.ends[id];
    if (kind === Kind.busSent) {
      end.lastNs = this.core.nowNs;
      end.previous = end.state;
      end.state = State.free;
      end.inARow++;
      this.tryToSend(end);
    } else if (kind === Kind.busReceived) {
      this.received(end);
    } else {
      this.processed(end);
    }
  }

  private addBus(npu: number, G: number): [BusEnd, BusEnd] {
    const make = (): BusEnd => {
      const end = {
        id: this.ends.length,
        npu,
        G,
        partner: undefined as unknown as BusEnd,
        inner: undefined,
        state: State.free,
        previous: State.free,
        lastNs: 0,
        inARow: 0,
        sends: [],
        receives: [],
        processing: [],
        busyProcessing: false,
      };
      this.ends.push(end);
      return end;
    };
    const a = make();
    const b = make();
    a.partner = b;
    b.partner = a;
    return [a, b];
  }

  private enter(end: BusEnd, packet: Packet): void {
    if (end.inner !== undefined) {
      this.passInner(end.inner.memorySide, packet, end, After.send);
      return;
    }
    end.sends.push(packet);
    if (end.state === State.free) this.tryToSend(end);
  }

  private passInner(at: BusEnd, packet: Packet, end: BusEnd, then: number): void {
    this.enter(at, {
      sizeBytes: packet.sizeBytes,
      npu: packet.npu,
      reduce: false,
      sendBack: false,
      kind: Kind.none,
      arg: 0,
      carries: { packet, end, then },
    });
  }

  private tryToSend(end: BusEnd): void {
    if (end.sends.length === 0 || end.state !== State.free) return;
    const { partner } = end;
    if (end.inARow > maxInARow && partner.sends.length > 0 && partner.inARow <= maxInARow) {
      if (partner.state === State.free) this.tryToSend(partner);
      return;
    }
    const { L, o, g } = this.spec;
    const since = this.core.nowNs - end.lastNs;
    const gapped = end.previous === State.sending && o + since <= g;
    const offset = gapped ? g - since : o;
    const packet = end.sends.shift() as Packet;
    const { fround } = Math;
    const spread = fround(end.G * fround(packet.sizeBytes - 1));
    const sent = fround(offset + spread);
    partner.receives.push(packet);
    partner.previous = partner.state;
    partner.state = State.receiving;
    partner.inARow = 0;
    const received = Math.trunc(fround(fround(sent + L) + o));
    this.core.after(end.npu, received, Kind.busReceived, partner.id);
    end.state = State.sending;
    this.core.after(end.npu, Math.trunc(sent), Kind.busSent, end.id);
  }

  private received(end: BusEnd): void {
    end.lastNs = this.core.nowNs;
    end.previous = end.state;
    if (end.receives.length < 2) end.state = State.free;
    const packet = end.receives.shift() as Packet;
    if (packet.reduce) {
      packet.reduce = false;
      this.reach(end, packet, After.process);
    } else if (packet.sendBack) {
      packet.sendBack = false;
      this.reach(end, packet, After.send);
    } else {
      this.reach(end, packet, After.callback);
    }
    this.tryToSend(end);
  }

  /**
   * Over the inner bus, where there is one, to what comes then: stored, and fetched again for what is
   * to be processed or sent back.
   */
  private reach(end: BusEnd, packet: Packet, then: number): void {
    if (end.inner === undefined) this.continueWith(end, packet, then);
    else if (then === After.callback) this.passInner(end.inner.npuSide, packet, end, then);
    else this.passInner(end.inner.npuSide, packet, end, then + After.fetch);
  }

  private continueWith(end: BusEnd, packet: Packet, then: number): void {
    if (then > After.fetch && end.inner !== undefined) {
      this.passInner(end.inner.memorySide, packet, end, then - After.fetch);
    } else if (then === After.send) {
      end.sends.push(packet);
      this.tryToSend(end);
    } else if (then === After.process) {
      end.processing.push(packet);
      this.process(end);
    } else {
      this.callback(packet);
    }
  }

  private callback(packet: Packet): void {
    const { carries } = packet;
    if (carries === undefined) this.core.dispatch(packet.kind, packet.arg);
    else this.continueWith(carries.end, carries.packet, carries.then);
  }

  private process(end: BusEnd): void {
    if (end.busyProcessing || end.processing.length === 0) return;
    end.busyProcessing = true;
    const hundreds = Math.trunc(end.processing[0].sizeBytes / 100);
    const delayNs = hundreds * this.spec.localReductionDelay + 50;
    this.core.after(end.npu, delayNs, Kind.busProcessed, end.id);
  }

  private processed(end: BusEnd): void {
    end.busyProcessing = false;
    const packet = end.processing.shift() as Packet;
    if (packet.sendBack) {
      packet.sendBack = false;
      this.reach(end, packet, After.send);
    } else {
      this.reach(end, packet, After.callback);
    }
    this.process(end);
    this.tryToSend(end);
  }
}
