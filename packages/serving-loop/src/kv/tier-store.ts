/**
 * One pool of KV chunks below the device: which chunks are there, least recently used first. An
 * entry is being written, resident, or pinned by readers; only resident entries without readers are
 * evicted, and only resident entries are found. Keys are contents (equal key, equal KV); the pool
 * knows bytes, not tokens.
 */
import { assert } from '@astrolabe/base';

/** An element of the list of all entries, which is a ring around a sentinel. */
interface Entry {
  readonly key: number;
  readonly bytes: number;
  written: boolean;
  readers: number;
  older: Entry;
  newer: Entry;
}

interface TierCounters {
  /** Chunks read. */
  hits: number;
  stored: number;
  evictions: number;
  /** Writes given up because nothing could be evicted. */
  refused: number;
}

export class TierStore {
  readonly capacityBytes: number;
  readonly counters: TierCounters = { hits: 0, stored: 0, evictions: 0, refused: 0 };
  /**
   * By key. Order of use is a list of its own: a map keeps the places of what was removed at its front
   * for a while, so that looking for its oldest entry would take longer the more were evicted.
   */
  private readonly entries = new Map<number, Entry>();
  /** Newer than it is the least recently used entry, older than it the most recently used. */
  private readonly ends = sentinel();
  private bytes = 0;
  /** Entries that nothing holds. */
  private evictable = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  /** Bytes of resident entries and of those being written. */
  get usedBytes(): number {
    return this.bytes;
  }

  get numEntries(): number {
    return this.entries.size;
  }

  /** Entries that a transfer holds; zero when nothing moves. */
  get numHeld(): number {
    let held = 0;
    for (const entry of this.entries.values()) if (isHeld(entry)) held++;
    return held;
  }

  has(key: number): boolean {
    return this.entries.get(key)?.written === true;
  }

  /** Makes a chunk the most recently used. */
  touch(key: number): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    unlink(entry);
    linkBefore(this.ends, entry);
  }

  /** Holds a resident chunk while it is read. */
  pin(key: number): void {
    const entry = this.entries.get(key);
    assert(entry?.written === true, 'only a resident chunk is read');
    if (entry.readers++ === 0) this.evictable--;
    this.counters.hits++;
    this.touch(key);
  }

  unpin(key: number): void {
    const entry = this.entries.get(key);
    assert(entry !== undefined && entry.readers > 0, 'a chunk is let go once per reader');
    if (--entry.readers === 0) this.evictable++;
  }

  /**
   * Makes room for a chunk and begins to write it.
   * @returns false when it is already there or coming (then it is touched), or there is no room
   */
  reserve(key: number, bytes: number): boolean {
    if (this.entries.has(key)) {
      this.touch(key);
      return false;
    }
    if (!this.makeRoom(bytes)) {
      this.counters.refused++;
      return false;
    }
    const { ends } = this;
    const entry: Entry = { key, bytes, written: false, readers: 0, older: ends, newer: ends };
    linkBefore(ends, entry);
    this.entries.set(key, entry);
    this.bytes += bytes;
    return true;
  }

  /** The write has ended: the chunk can be found. */
  commit(key: number): void {
    const entry = this.entries.get(key);
    assert(entry?.written === false, 'a chunk is written once');
    entry.written = true;
    this.evictable++;
    this.counters.stored++;
  }

  private makeRoom(bytes: number): boolean {
    if (bytes > this.capacityBytes) return false;
    if (this.bytes + bytes <= this.capacityBytes) return true;
    for (let entry = this.ends.newer; this.evictable > 0; entry = entry.newer) {
      if (isHeld(entry)) continue;
      unlink(entry);
      this.entries.delete(entry.key);
      this.evictable--;
      this.bytes -= entry.bytes;
      this.counters.evictions++;
      if (this.bytes + bytes <= this.capacityBytes) return true;
    }
    return false;
  }
}

function sentinel(): Entry {
  const entry = { key: Number.NaN, bytes: 0, written: false, readers: 0 } as Entry;
  entry.older = entry;
  entry.newer = entry;
  return entry;
}

/** It is being written, or read. */
function isHeld({ written, readers }: Entry): boolean {
  return !written || readers > 0;
}

function unlink({ older, newer }: Entry): void {
  older.newer = newer;
  newer.older = older;
}

function linkBefore(newer: Entry, entry: Entry): void {
  entry.newer = newer;
  entry.older = newer.older;
  newer.older.newer = entry;
  newer.older = entry;
}
