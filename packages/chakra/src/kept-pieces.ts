/** Pieces of the input that outlive it, such as attributes without a column: copied, the same ones once. */
import { sameBytes } from './string-table.js';

/** Nodes of a trace mostly say the same: enough for the different pieces of some nodes. */
const slotCount = 1 << 12;
/** Longer pieces are hardly ever the same, and have a buffer of their own. */
const longestShared = 256;

export class KeptPieces<T> {
  /** Made with the first piece: many traces have none. */
  private bytes: (Uint8Array | undefined)[] = [];
  private values: (T | undefined)[] = [];
  private readonly make: (bytes: Uint8Array) => T;
  /** Many pieces to a buffer: one of its own costs a piece about 1 us. */
  private block = new Uint8Array(0);
  private used = 0;

  /** @param make what becomes of a piece, from its own copy; it must not be changed later */
  constructor(make: (bytes: Uint8Array) => T) {
    this.make = make;
  }

  /** @throws what `make` throws */
  get(from: Uint8Array, start: number, end: number): T {
    if (end - start > longestShared) return this.make(from.slice(start, end));
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + from[i]) | 0;
    const slot = (hash ^ (hash >>> 15)) & (slotCount - 1);
    if (this.bytes.length === 0) {
      this.bytes = new Array<undefined>(slotCount).fill(undefined);
      this.values = new Array<undefined>(slotCount).fill(undefined);
    }
    const known = this.bytes[slot];
    if (known !== undefined && sameBytes(known, from, start, end)) return this.values[slot] as T;
    const bytes = this.copy(from, start, end);
    const value = this.make(bytes);
    this.bytes[slot] = bytes;
    this.values[slot] = value;
    return value;
  }

  private copy(from: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (this.used + length > this.block.length) {
      this.block = new Uint8Array(1 << 16);
      this.used = 0;
    }
    const { block, used } = this;
    for (let i = 0; i < length; i++) block[used + i] = from[start + i];
    this.used += length;
    return block.subarray(used, used + length);
  }
}
