/**
 * The rendezvous protocol: a receiver asks with a small message, the sender sends when the request is
 * there, the receiver begins to receive when its request has arrived.
 */
import type { Core, Transport } from '../core.js';
import { Kind } from '../kernel/kinds.js';

/** Both as ASTRA-sim has them. */
const requestBytes = 8192;
const requestTagOffset = 1_000_000_000;

interface Pending {
  readonly src: number;
  readonly dst: number;
  readonly tag: number;
  readonly sizeBytes: number;
  readonly kind: number;
  readonly arg: number;
}

export class Rendezvous implements Transport {
  private readonly core: Core;
  private readonly pending: (Pending | undefined)[] = [];
  private readonly free: number[] = [];

  constructor(core: Core) {
    this.core = core;
  }

  send(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): number {
    const id = this.keep({ src, dst, tag, sizeBytes, kind, arg });
    const request = tag + requestTagOffset;
    this.core.receive(dst, src, request, requestBytes, Kind.rendezvousSend, id);
    return -1;
  }

  receive(
    src: number,
    dst: number,
    tag: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): boolean {
    const id = this.keep({ src, dst, tag, sizeBytes, kind, arg });
    this.core.send(dst, src, tag + requestTagOffset, requestBytes, Kind.rendezvousReceive, id);
    return false;
  }

  handle(event: number, id: number): void {
    const { src, dst, tag, sizeBytes, kind, arg } = this.pending[id] as Pending;
    this.pending[id] = undefined;
    this.free.push(id);
    if (event === Kind.rendezvousSend) this.core.send(src, dst, tag, sizeBytes, kind, arg);
    else this.core.receive(src, dst, tag, sizeBytes, kind, arg);
  }

  private keep(pending: Pending): number {
    const id = this.free.pop() ?? this.pending.length;
    this.pending[id] = pending;
    return id;
  }
}
