/**
 * Interned strings of graphs: each distinct text has one index, 0 is the empty string. The list only
 * ever grows, so graphs built one after another may share it. Bytes are looked up without decoding
 * them: a hash over the bytes, then a comparison.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class StringTable {
  readonly strings: string[] = [];
  private readonly indexOf = new Map<string, number>();
  private readonly bytes: Uint8Array[] = [];
  /** Open addressing by byte hash: index + 1, 0 = free. Filled by `internBytes` only. */
  private slots = new Int32Array(256);
  private slotHash = new Int32Array(256);
  private used = 0;
  /** Graphs repeat: the text that followed each text the last time is tried first. */
  private readonly follower: number[] = [];
  private last = 0;

  constructor() {
    this.intern('');
  }

  intern(text: string): number {
    const known = this.indexOf.get(text);
    if (known !== undefined) return known;
    const index = this.strings.length;
    this.strings.push(text);
    this.indexOf.set(text, index);
    return index;
  }

  /** Index of the UTF-8 text in `buffer[start, end)`. */
  internBytes(buffer: Uint8Array, start: number, end: number): number {
    if (start === end) return 0;
    const guess = this.follower[this.last];
    if (guess !== undefined && sameBytes(this.bytes[guess], buffer, start, end)) {
      this.last = guess;
      return guess;
    }
    const index = this.find(buffer, start, end);
    this.follower[this.last] = index;
    this.last = index;
    return index;
  }

  private find(buffer: Uint8Array, start: number, end: number): number {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + buffer[i]) | 0;
    hash ^= hash >>> 15;
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const index = this.slots[slot] - 1;
      if (index < 0) break;
      if (this.slotHash[slot] === hash && sameBytes(this.bytes[index], buffer, start, end)) {
        return index;
      }
      slot = (slot + 1) & mask;
    }
    return this.addBytes(buffer.slice(start, end), hash);
  }

  private addBytes(bytes: Uint8Array, hash: number): number {
    const index = this.intern(decoder.decode(bytes));
    this.bytes[index] = bytes;
    if (++this.used * 2 > this.slots.length) this.rehash();
    this.place(index, hash);
    return index;
  }

  private place(index: number, hash: number): void {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
    this.slots[slot] = index + 1;
    this.slotHash[slot] = hash;
  }

  private rehash(): void {
    const { slots, slotHash } = this;
    this.slots = new Int32Array(slots.length * 2);
    this.slotHash = new Int32Array(slots.length * 2);
    for (let i = 0; i < slots.length; i++) {
      if (slots[i] !== 0) this.place(slots[i] - 1, slotHash[i]);
    }
  }
}

export function sameBytes(
  known: Uint8Array,
  buffer: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (known.length !== end - start) return false;
  for (let i = start; i < end; i++) if (known[i - start] !== buffer[i]) return false;
  return true;
}

const encodedOf = new WeakMap<readonly string[], Uint8Array[]>();

/** UTF-8 of `strings[index]`, encoded once per list. */
export function utf8Of(strings: readonly string[], index: number): Uint8Array {
  let encoded = encodedOf.get(strings);
  if (encoded === undefined) {
    encoded = [];
    encodedOf.set(strings, encoded);
  }
  encoded[index] ??= encoder.encode(strings[index]);
  return encoded[index];
}
