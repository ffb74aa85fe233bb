/**
 * Each NPU's own list of callbacks per tick, as ASTRA-sim keeps it: the first callback for a tick
 * schedules one global event, later ones for the same tick join its list. So all callbacks of one NPU
 * for one tick run together, at the place of the first of them.
 */
import { grownFloat64, grownInt32 } from '@astrolabe/base';
import type { EventQueue } from './event-queue.js';

/** An event that outlasts all others. */
export interface KeptEvent {
  readonly atNs: number;
  /** Whose own queue it is in; -1: none's. */
  readonly npu: number;
  readonly kind: number;
  readonly arg: number;
}

export class NpuQueues {
  private readonly queue: EventQueue;
  private readonly fireKind: number;
  /** Per NPU the newest open list, -1 none. */
  private readonly open: Int32Array;

  private listTime = new Float64Array(64);
  private listNpu = new Int32Array(64);
  private listHead = new Int32Array(64);
  private listTail = new Int32Array(64);
  private listNext = new Int32Array(64);
  private freeList = -1;
  private listsMade = 0;

  private entryKind = new Int32Array(256);
  private entryArg = new Int32Array(256);
  private entryNext = new Int32Array(256);
  private freeEntry = -1;
  private entriesMade = 0;

  /** @param fireKind kind of the global event whose arg is a list of this queue. */
  constructor(numNpus: number, queue: EventQueue, fireKind: number) {
    this.queue = queue;
    this.fireKind = fireKind;
    this.open = new Int32Array(numNpus).fill(-1);
  }

  /** Runs (kind, arg) on `npu` after `delayNs` >= 0. */
  register(npu: number, delayNs: number, kind: number, arg: number): void {
    const time = this.queue.time + delayNs;
    const entry = this.takeEntry(kind, arg);
    let list = this.open[npu];
    while (list >= 0 && this.listTime[list] !== time) list = this.listNext[list];
    if (list >= 0) {
      const tail = this.listTail[list];
      if (tail < 0) this.listHead[list] = entry;
      else this.entryNext[tail] = entry;
      this.listTail[list] = entry;
      return;
    }
    list = this.takeList();
    this.listTime[list] = time;
    this.listNpu[list] = npu;
    this.listHead[list] = entry;
    this.listTail[list] = entry;
    this.listNext[list] = this.open[npu];
    this.open[npu] = list;
    this.queue.schedule(time, this.fireKind, list);
  }

  /** Runs a list, with what is appended meanwhile, and closes it. */
  fire(list: number, dispatch: (kind: number, arg: number) => void): void {
    let entry = this.listHead[list];
    while (entry >= 0) {
      const next = this.entryNext[entry];
      this.listHead[list] = next;
      if (next < 0) this.listTail[list] = -1;
      const kind = this.entryKind[entry];
      const arg = this.entryArg[entry];
      this.entryNext[entry] = this.freeEntry;
      this.freeEntry = entry;
      dispatch(kind, arg);
      entry = this.listHead[list];
    }
    this.close(list);
  }

  /** Adds those callbacks of a list to `kept` that `keeps` names. */
  keep(list: number, keeps: (kind: number, arg: number) => boolean, kept: KeptEvent[]): void {
    const [atNs, npu] = [this.listTime[list], this.listNpu[list]];
    for (let entry = this.listHead[list]; entry >= 0; entry = this.entryNext[entry]) {
      const [kind, arg] = [this.entryKind[entry], this.entryArg[entry]];
      if (keeps(kind, arg)) kept.push({ atNs, npu, kind, arg });
    }
  }

  /** Forgets every callback. */
  clear(): void {
    this.open.fill(-1);
    this.freeList = -1;
    this.listsMade = 0;
    this.freeEntry = -1;
    this.entriesMade = 0;
  }

  private close(list: number): void {
    const npu = this.listNpu[list];
    if (this.open[npu] === list) {
      this.open[npu] = this.listNext[list];
    } else {
      let before = this.open[npu];
      while (this.listNext[before] !== list) before = this.listNext[before];
      this.listNext[before] = this.listNext[list];
    }
    this.listNext[list] = this.freeList;
    this.freeList = list;
  }

  private takeEntry(kind: number, arg: number): number {
    let entry = this.freeEntry;
    if (entry >= 0) {
      this.freeEntry = this.entryNext[entry];
    } else {
      entry = this.entriesMade++;
      if (entry === this.entryKind.length) {
        this.entryKind = grownInt32(this.entryKind);
        this.entryArg = grownInt32(this.entryArg);
        this.entryNext = grownInt32(this.entryNext);
      }
    }
    this.entryKind[entry] = kind;
    this.entryArg[entry] = arg;
    this.entryNext[entry] = -1;
    return entry;
  }

  private takeList(): number {
    let list = this.freeList;
    if (list >= 0) {
      this.freeList = this.listNext[list];
      return list;
    }
    list = this.listsMade++;
    if (list === this.listTime.length) {
      this.listTime = grownFloat64(this.listTime);
      this.listNpu = grownInt32(this.listNpu);
      this.listHead = grownInt32(this.listHead);
      this.listTail = grownInt32(this.listTail);
      this.listNext = grownInt32(this.listNext);
    }
    return list;
  }
}
