/**
 * What a KV block holds, as a small integer: equal integers mean equal tokens *and* equal
 * predecessors, as vLLM's chained block hash, but exact: a hash only finds the candidate, the
 * tokens decide. Content is interned for the whole run.
 */
import { assert } from '@astrolabe/base';

/** The id of content that is unknown or not cached. */
export const noContent = -1;

export class BlockContents {
  private readonly blockSize: number;
  private readonly byHash = new Map<number, number>();
  private readonly parents: number[] = [];
  private readonly tokens: Int32Array[] = [];
  private readonly starts: number[] = [];

  constructor(blockSize: number) {
    this.blockSize = blockSize;
  }

  /** How many different contents were seen. */
  get size(): number {
    return this.parents.length;
  }

  /**
   * Ids of all full blocks of a sequence.
   * @param sequence token ids of prompt and output; kept by reference
   */
  ofSequence(sequence: Int32Array): Int32Array {
    const count = Math.floor(sequence.length / this.blockSize);
    const ids = new Int32Array(count);
    let parent = noContent;
    for (let i = 0; i < count; i++) {
      parent = this.intern(parent, sequence, i * this.blockSize);
      ids[i] = parent;
    }
    return ids;
  }

  private intern(parent: number, sequence: Int32Array, start: number): number {
    let key = this.hash(parent, sequence, start);
    for (let probes = 0; ; probes++) {
      assert(probes < 1000, 'block content table degenerated');
      const found = this.byHash.get(key);
      if (found === undefined) break;
      if (this.parents[found] === parent && this.equal(found, sequence, start)) return found;
      key++;
    }
    const id = this.parents.length;
    this.byHash.set(key, id);
    this.parents.push(parent);
    this.tokens.push(sequence);
    this.starts.push(start);
    return id;
  }

  /** 53 bits from two multiplicative mixes. */
  private hash(parent: number, sequence: Int32Array, start: number): number {
    let a = (parent ^ 0x9e3779b9) | 0;
    let b = (parent ^ 0x7f4a7c15) | 0;
    for (let i = start; i < start + this.blockSize; i++) {
      a = Math.imul(a ^ sequence[i], 0x85ebca6b);
      a ^= a >>> 15;
      b = Math.imul(b + sequence[i], 0xc2b2ae35);
      b ^= b >>> 13;
    }
    return (a >>> 0) * 0x200000 + (b >>> 11);
  }

  private equal(id: number, sequence: Int32Array, start: number): boolean {
    const other = this.tokens[id];
    const offset = this.starts[id] - start;
    for (let i = start; i < start + this.blockSize; i++) {
      if (other[i + offset] !== sequence[i]) return false;
    }
    return true;
  }
}
