/**
 * Where messages and receives meet: the n-th message with a key (tag, source, destination, size)
 * meets the n-th receive with that key. Messages of one key arrive in the order they were sent, so
 * counting is enough. Entries exist only while something waits or is on its way.
 */
import { grownFloat64, grownInt32 } from '@astrolabe/base';

interface WaitingReceive {
  readonly tag: number;
  readonly src: number;
  readonly dst: number;
  readonly sizeBytes: number;
  readonly kind: number;
  readonly arg: number;
}

interface UnreadMessages {
  readonly tag: number;
  readonly src: number;
  readonly dst: number;
  readonly sizeBytes: number;
  readonly count: number;
}

export class Mailbox {
  /** Continuation of the receive that `arrive` matched. */
  kind = 0;
  arg = 0;

  private bucket = new Int32Array(1024).fill(-1);
  private next = new Int32Array(256);
  private tag = new Float64Array(256);
  private src = new Int32Array(256);
  private dst = new Int32Array(256);
  private size = new Float64Array(256);
  private arrived = new Int32Array(256);
  private inFlight = new Int32Array(256);
  private head = new Int32Array(256);
  private tail = new Int32Array(256);
  private freeEntry = -1;
  private entriesMade = 0;
  private used = 0;

  private waiterKind = new Int32Array(256);
  private waiterArg = new Int32Array(256);
  private waiterNext = new Int32Array(256);
  private freeWaiter = -1;
  private waitersMade = 0;

  /** A message is there. True if a receive was waiting: its continuation is in `kind`, `arg`. */
  arrive(tag: number, src: number, dst: number, sizeBytes: number): boolean {
    const entry = this.entry(tag, src, dst, sizeBytes);
    const waiter = this.head[entry];
    if (waiter < 0) {
      this.arrived[entry]++;
      return false;
    }
    this.kind = this.waiterKind[waiter];
    this.arg = this.waiterArg[waiter];
    this.head[entry] = this.waiterNext[waiter];
    if (this.head[entry] < 0) this.tail[entry] = -1;
    this.waiterNext[waiter] = this.freeWaiter;
    this.freeWaiter = waiter;
    if (this.head[entry] < 0 && this.inFlight[entry] === 0) this.drop(entry);
    return true;
  }

  /** True if the message is already there; otherwise the receive waits. */
  receive(
    tag: number,
    src: number,
    dst: number,
    sizeBytes: number,
    kind: number,
    arg: number,
  ): boolean {
    const entry = this.entry(tag, src, dst, sizeBytes);
    if (this.arrived[entry] > 0) {
      this.arrived[entry]--;
      if (this.arrived[entry] === 0 && this.inFlight[entry] === 0) this.drop(entry);
      return true;
    }
    const waiter = this.takeWaiter(kind, arg);
    if (this.tail[entry] < 0) this.head[entry] = waiter;
    else this.waiterNext[this.tail[entry]] = waiter;
    this.tail[entry] = waiter;
    return false;
  }

  /**
   * Tells that a message is on its way, for those who account transfer time. Returns the argument of
   * the waiting receive that this message is for, or -1.
   */
  announce(tag: number, src: number, dst: number, sizeBytes: number): number {
    const entry = this.entry(tag, src, dst, sizeBytes);
    let waiter = this.head[entry];
    for (let i = this.inFlight[entry]++; i > 0 && waiter >= 0; i--)
      waiter = this.waiterNext[waiter];
    return waiter < 0 ? -1 : this.waiterArg[waiter];
  }

  /** The announced message arrives: call before `arrive`. */
  retract(tag: number, src: number, dst: number, sizeBytes: number): void {
    this.inFlight[this.entry(tag, src, dst, sizeBytes)]--;
  }

  /** True if the receive posted last on this key already has its message on the way. */
  hasAnnounced(tag: number, src: number, dst: number, sizeBytes: number): boolean {
    const entry = this.entry(tag, src, dst, sizeBytes);
    let waiting = 0;
    for (let waiter = this.head[entry]; waiter >= 0; waiter = this.waiterNext[waiter]) waiting++;
    return this.inFlight[entry] >= waiting;
  }

  /** Receives still waiting, for reports. */
  waiting(): WaitingReceive[] {
    const found: WaitingReceive[] = [];
    this.forEachEntry((entry) => {
      for (let waiter = this.head[entry]; waiter >= 0; waiter = this.waiterNext[waiter]) {
        found.push({
          ...this.key(entry),
          kind: this.waiterKind[waiter],
          arg: this.waiterArg[waiter],
        });
      }
    });
    return found;
  }

  /** Messages nobody received, for reports. */
  unread(): UnreadMessages[] {
    const found: UnreadMessages[] = [];
    this.forEachEntry((entry) => {
      if (this.arrived[entry] > 0) found.push({ ...this.key(entry), count: this.arrived[entry] });
    });
    return found;
  }

  private key(entry: number): { tag: number; src: number; dst: number; sizeBytes: number } {
    return {
      tag: this.tag[entry],
      src: this.src[entry],
      dst: this.dst[entry],
      sizeBytes: this.size[entry],
    };
  }

  private forEachEntry(visit: (entry: number) => void): void {
    for (const first of this.bucket) {
      for (let entry = first; entry >= 0; entry = this.next[entry]) visit(entry);
    }
  }

  private slot(tag: number, src: number, dst: number, sizeBytes: number): number {
    let hash = Math.imul(tag | 0, 0x9e3779b1) ^ Math.imul(src, 0x85ebca6b);
    hash ^= Math.imul(dst, 0xc2b2ae35) ^ Math.imul(sizeBytes | 0, 0x27d4eb2f);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & (this.bucket.length - 1);
  }

  private entry(tag: number, src: number, dst: number, sizeBytes: number): number {
    const slot = this.slot(tag, src, dst, sizeBytes);
    for (let entry = this.bucket[slot]; entry >= 0; entry = this.next[entry]) {
      if (
        this.tag[entry] === tag &&
        this.src[entry] === src &&
        this.dst[entry] === dst &&
        this.size[entry] === sizeBytes
      ) {
        return entry;
      }
    }
    return this.addEntry(tag, src, dst, sizeBytes);
  }

  private addEntry(tag: number, src: number, dst: number, sizeBytes: number): number {
    let entry = this.freeEntry;
    if (entry >= 0) {
      this.freeEntry = this.next[entry];
    } else {
      entry = this.entriesMade++;
      if (entry === this.next.length) this.growEntries();
    }
    if (++this.used > this.bucket.length) this.rehash();
    this.tag[entry] = tag;
    this.src[entry] = src;
    this.dst[entry] = dst;
    this.size[entry] = sizeBytes;
    this.arrived[entry] = 0;
    this.inFlight[entry] = 0;
    this.head[entry] = -1;
    this.tail[entry] = -1;
    const slot = this.slot(tag, src, dst, sizeBytes);
    this.next[entry] = this.bucket[slot];
    this.bucket[slot] = entry;
    return entry;
  }

  private drop(entry: number): void {
    const slot = this.slot(this.tag[entry], this.src[entry], this.dst[entry], this.size[entry]);
    if (this.bucket[slot] === entry) {
      this.bucket[slot] = this.next[entry];
    } else {
      let before = this.bucket[slot];
      while (this.next[before] !== entry) before = this.next[before];
      this.next[before] = this.next[entry];
    }
    this.next[entry] = this.freeEntry;
    this.freeEntry = entry;
    this.used--;
  }

  private rehash(): void {
    const old = this.bucket;
    this.bucket = new Int32Array(old.length * 4).fill(-1);
    for (const first of old) {
      let entry = first;
      while (entry >= 0) {
        const after = this.next[entry];
        const slot = this.slot(this.tag[entry], this.src[entry], this.dst[entry], this.size[entry]);
        this.next[entry] = this.bucket[slot];
        this.bucket[slot] = entry;
        entry = after;
      }
    }
  }

  private growEntries(): void {
    this.next = grownInt32(this.next);
    this.tag = grownFloat64(this.tag);
    this.src = grownInt32(this.src);
    this.dst = grownInt32(this.dst);
    this.size = grownFloat64(this.size);
    this.arrived = grownInt32(this.arrived);
    this.inFlight = grownInt32(this.inFlight);
    this.head = grownInt32(this.head);
    this.tail = grownInt32(this.tail);
  }

  private takeWaiter(kind: number, arg: number): number {
    let waiter = this.freeWaiter;
    if (waiter >= 0) {
      this.freeWaiter = this.waiterNext[waiter];
    } else {
      waiter = this.waitersMade++;
      if (waiter === this.waiterKind.length) {
        this.waiterKind = grownInt32(this.waiterKind);
        this.waiterArg = grownInt32(this.waiterArg);
        this.waiterNext = grownInt32(this.waiterNext);
      }
    }
    this.waiterKind[waiter] = kind;
    this.waiterArg[waiter] = arg;
    this.waiterNext[waiter] = -1;
    return waiter;
  }
}
