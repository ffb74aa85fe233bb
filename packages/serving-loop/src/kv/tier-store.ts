/**
 * One pool of KV chunks below the device: which chunks are there, least recently used first. An
 * entry is being written, resident, or pinned by readers; only resident entries without readers are
 * evicted, and only resident entries are found. Keys are contents (equal key, equal KV); the pool
 * knows bytes, not tokens.
 */
import { assert } from '@astrolabe/base';

interface Entry {
  readonly bytes: number;
  written: boolean;
  readers: number;
}

export interface TierCounters {
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
  private readonly entries = new Map<number, Entry>();
  private bytes = 0;

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
    for (const entry of this.entries.values()) if (entry.readers > 0 || !entry.written) held++;
    return held;
  }

  has(key: number): boolean {
    return this.entries.get(key)?.written === true;
  }

  /** Makes a chunk the most recently used. */
  touch(key: number): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.entries.set(key, entry);
  }

  /** Holds a resident chunk while it is read. */
  pin(key: number): void {
    const entry = this.entries.get(key);
    assert(entry?.written === true, 'only a resident chunk is read');
    entry.readers++;
    this.counters.hits++;
    this.touch(key);
  }

  unpin(key: number): void {
    const entry = this.entries.get(key);
    assert(entry !== undefined && entry.readers > 0, 'a chunk is let go once per reader');
    entry.readers--;
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
    this.entries.set(key, { bytes, written: false, readers: 0 });
    this.bytes += bytes;
    return true;
  }

  /** The write has ended: the chunk can be found. */
  commit(key: number): void {
    const entry = this.entries.get(key);
    assert(entry?.written === false, 'a chunk is written once');
    entry.written = true;
    this.counters.stored++;
  }

  private makeRoom(bytes: number): boolean {
    if (bytes > this.capacityBytes) return false;
    if (this.bytes + bytes <= this.capacityBytes) return true;
    for (const [key, entry] of this.entries) {
      if (!entry.written || entry.readers > 0) continue;
      this.entries.delete(key);
      this.bytes -= entry.bytes;
      this.counters.evictions++;
      if (this.bytes + bytes <= this.capacityBytes) return true;
    }
    return false;
  }
}
