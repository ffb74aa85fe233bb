/**
 * The clock's future: events are integers (time, kind, arg), ordered by time and, within an instant,
 * by order of scheduling. A heap of runs: events scheduled for the same time in a row share one heap
 * entry as a FIFO chain. Only the most recently opened run is ever extended, which is why the order
 * equals that of a heap on (time, sequence number). Times are ns.
 */
import { grownFloat64, grownInt32, UserError } from '@astrolabe/base';

export class EventQueue {
  /** Of the event that `pop` took last. */
  time = 0;
  kind = 0;
  arg = 0;
  /** Events waiting. */
  size = 0;
  /** Beyond 2^53 ns numbers no longer hold single nanoseconds. */
  latestTime = Number.MAX_SAFE_INTEGER;

  /** Sequence number of the event's run; beyond all others when the instant is over. */
  private poppedSeq = -1;
  private heapLength = 0;
  private heapTime = new Float64Array(64);
  private heapSeq = new Float64Array(64);
  private heapRun = new Int32Array(64);
  private sequence = 0;

  private runHead = new Int32Array(64);
  private runTail = new Int32Array(64);
  private freeRun = -1;
  private runsMade = 0;
  private lastRun = -1;
  private lastTime = Number.NaN;

  private eventKind = new Int32Array(256);
  private eventArg = new Int32Array(256);
  private eventNext = new Int32Array(256);
  private freeEvent = -1;
  private eventsMade = 0;

  /**
   * @param time ns, not before the last popped event.
   * @throws UserError where a number no longer holds single nanoseconds
   */
  schedule(time: number, kind: number, arg: number): void {
    if (!(time >= this.time)) this.refusePast(time);
    const event = this.takeEvent(kind, arg);
    this.size++;
    if (time === this.lastTime) {
      const run = this.lastRun;
      this.eventNext[this.runTail[run]] = event;
      this.runTail[run] = event;
      return;
    }
    this.push(time, this.takeRun(event));
  }

  /**
   * Takes the place in the order that an event scheduled now for `time` would have, without the event:
   * most of what might happen then does not, and need not pass through the heap. Either `isPast`
   * tells whether the place has been passed, or `scheduleAt` fills it.
   */
  reserve(time: number): number {
    // What is scheduled for `time` from now on comes behind.
    if (time === this.lastTime) this.closeRun();
    return this.sequence++;
  }

  /** Whether an event at a reserved place would have been popped by now. */
  isPast(time: number, place: number): boolean {
    return time < this.time || (time === this.time && place < this.poppedSeq);
  }

  /** Schedules an event at a reserved place that is not past. */
  scheduleAt(time: number, place: number, kind: number, arg: number): void {
    const run = this.takeRun(this.takeEvent(kind, arg));
    this.size++;
    this.insert(time, place, run);
  }

  /** Forgets every event and goes back to `time`. */
  restartAt(time: number): void {
    this.heapLength = 0;
    this.size = 0;
    this.closeRun();
    this.freeRun = -1;
    this.runsMade = 0;
    this.freeEvent = -1;
    this.eventsMade = 0;
    this.advanceTo(time);
  }

  /** All that was to happen up to `time` has happened. */
  advanceTo(time: number): void {
    this.time = time;
    this.poppedSeq = Number.POSITIVE_INFINITY;
  }

  /** Time of the next event, Infinity when there is none. */
  peekTime(): number {
    return this.heapLength === 0 ? Number.POSITIVE_INFINITY : this.heapTime[0];
  }

  /** Takes the next event into `time`, `kind`, `arg`; false when there is none. */
  pop(): boolean {
    if (this.heapLength === 0) return false;
    const run = this.heapRun[0];
    const event = this.runHead[run];
    this.time = this.heapTime[0];
    this.poppedSeq = this.heapSeq[0];
    this.kind = this.eventKind[event];
    this.arg = this.eventArg[event];
    this.size--;
    if (event === this.runTail[run]) {
      if (run === this.lastRun) this.closeRun();
      this.runHead[run] = this.freeRun;
      this.freeRun = run;
      this.removeTop();
    } else {
      this.runHead[run] = this.eventNext[event];
    }
    this.eventNext[event] = this.freeEvent;
    this.freeEvent = event;
    return true;
  }

  private takeEvent(kind: number, arg: number): number {
    let event = this.freeEvent;
    if (event >= 0) {
      this.freeEvent = this.eventNext[event];
    } else {
      event = this.eventsMade++;
      if (event === this.eventKind.length) this.growEvents();
    }
    this.eventKind[event] = kind;
    this.eventArg[event] = arg;
    return event;
  }

  private takeRun(event: number): number {
    let run = this.freeRun;
    if (run >= 0) {
      this.freeRun = this.runHead[run];
    } else {
      run = this.runsMade++;
      if (run === this.runHead.length) {
        this.runHead = grownInt32(this.runHead);
        this.runTail = grownInt32(this.runTail);
      }
    }
    this.runHead[run] = event;
    this.runTail[run] = event;
    return run;
  }

  private push(time: number, run: number): void {
    if (time > this.latestTime) {
      throw new UserError(
        `simulated time reaches ${time} ns, expected at most 2^53 ns (104 days)`,
        {
          hint: 'a duration, latency or size is too large, or a bandwidth too small',
        },
      );
    }
    this.lastRun = run;
    this.lastTime = time;
    this.insert(time, this.sequence++, run);
  }

  /** Apart from `schedule`, where the message's closure would be made for every event. */
  private refusePast(time: number): never {
    throw new Error(`assertion failed: event at ${time} ns scheduled at ${this.time} ns`);
  }

  private closeRun(): void {
    this.lastRun = -1;
    this.lastTime = Number.NaN;
  }

  private insert(time: number, seq: number, run: number): void {
    if (this.heapLength === this.heapTime.length) {
      this.heapTime = grownFloat64(this.heapTime);
      this.heapSeq = grownFloat64(this.heapSeq);
      this.heapRun = grownInt32(this.heapRun);
    }
    const t = this.heapTime;
    const s = this.heapSeq;
    const r = this.heapRun;
    let i = this.heapLength++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (t[parent] < time || (t[parent] === time && s[parent] < seq)) break;
      t[i] = t[parent];
      s[i] = s[parent];
      r[i] = r[parent];
      i = parent;
    }
    t[i] = time;
    s[i] = seq;
    r[i] = run;
  }

  private removeTop(): void {
    const n = --this.heapLength;
    if (n === 0) return;
    const t = this.heapTime;
    const s = this.heapSeq;
    const r = this.heapRun;
    const time = t[n];
    const seq = s[n];
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= n) break;
      const right = left + 1;
      const child =
        left +
        (+(right < n) &
          (+(t[right] < t[left]) | (+(t[right] === t[left]) & +(s[right] < s[left]))));
      if (t[child] > time || (t[child] === time && s[child] > seq)) break;
      t[i] = t[child];
      s[i] = s[child];
      r[i] = r[child];
      i = child;
    }
    t[i] = time;
    s[i] = seq;
    r[i] = r[n];
  }

  private growEvents(): void {
    this.eventKind = grownInt32(this.eventKind);
    this.eventArg = grownInt32(this.eventArg);
    this.eventNext = grownInt32(this.eventNext);
  }
}
