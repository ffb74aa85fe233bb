/** A heap of values by (time, sequence). Small: one entry per set that waits for its release. */
export class ReleaseHeap<T> {
  private readonly entries: { time: number; sequence: number; value: T }[] = [];

  peekTime(): number {
    return this.entries.length === 0 ? Number.POSITIVE_INFINITY : this.entries[0].time;
  }

  push(time: number, sequence: number, value: T): void {
    const entries = this.entries;
    const entry = { time, sequence, value };
    let i = entries.length;
    entries.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entry, entries[parent])) break;
      entries[i] = entries[parent];
      i = parent;
    }
    entries[i] = entry;
  }

  /** The first value; there must be one. */
  pop(): T {
    const entries = this.entries;
    const top = entries[0];
    const last = entries.pop() as (typeof entries)[number];
    const n = entries.length;
    if (n > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before(entries[child + 1], entries[child])) child++;
        if (!before(entries[child], last)) break;
        entries[i] = entries[child];
        i = child;
      }
      entries[i] = last;
    }
    return top.value;
  }
}

interface Ordered {
  readonly time: number;
  readonly sequence: number;
}

function before(a: Ordered, b: Ordered): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}
