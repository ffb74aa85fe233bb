/**
 * The pool of KV blocks of one device, as vLLM's BlockPool: reference counts, a free list in
 * least-recently-freed order, and an index from content to the blocks that hold it. A freed block
 * keeps its content and can be hit until it is handed out again. Block 0 is vLLM's null block and is
 * never used.
 */
import { assert } from '@astrolabe/base';
import { noContent } from './block-content.js';

const none = -1;

export class BlockPool {
  readonly numBlocks: number;
  private readonly refCount: Int32Array;
  private readonly content: Int32Array;
  /** Free list, doubly linked; index numBlocks is the sentinel. */
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /**
   * Blocks of equal content form a list, oldest first. The index holds the oldest, which vLLM finds,
   * and the oldest has the newest as its predecessor.
   */
  private readonly sameNext: Int32Array;
  private readonly samePrevious: Int32Array;
  private readonly index = new Map<number, number>();
  private free: number;
  private withContent = 0;
  private usedWithoutContent = 0;
  /** Cached blocks whose content was dropped to reuse them. */
  evictions = 0;
  /** Blocks that became findable. */
  stored = 0;

  constructor(numBlocks: number) {
    assert(numBlocks >= 2, 'a pool needs the null block and one more');
    this.numBlocks = numBlocks;
    this.refCount = new Int32Array(numBlocks);
    this.content = new Int32Array(numBlocks).fill(noContent);
    this.next = new Int32Array(numBlocks + 1);
    this.previous = new Int32Array(numBlocks + 1);
    this.sameNext = new Int32Array(numBlocks).fill(none);
    this.samePrevious = new Int32Array(numBlocks).fill(none);
    this.free = 0;
    this.next[numBlocks] = numBlocks;
    this.previous[numBlocks] = numBlocks;
    for (let block = 1; block < numBlocks; block++) this.appendFree(block);
  }

  get freeBlocks(): number {
    return this.free;
  }

  /** Blocks that requests hold. */
  get usedBlocks(): number {
    return this.numBlocks - 1 - this.free;
  }

  /** Blocks that hold KV someone may still use: referenced, or free and findable. */
  get residentBlocks(): number {
    return this.withContent + this.usedWithoutContent;
  }

  /** Usage as vLLM reports it: referenced blocks over usable ones. */
  get usage(): number {
    return this.usedBlocks / (this.numBlocks - 1);
  }

  /** Takes the least recently freed block; its old content can no longer be hit. */
  allocate(): number {
    const block = this.next[this.numBlocks];
    assert(block !== this.numBlocks, 'allocation from an empty pool');
    this.removeFree(block);
    if (this.content[block] !== noContent) {
      this.forget(block);
      this.evictions++;
    }
    this.refCount[block] = 1;
    this.usedWithoutContent++;
    return block;
  }

  /** A block with this content, or -1. */
  lookup(content: number): number {
    return this.index.get(content) ?? none;
  }

  /** Whether taking this block uses up a free one. */
  isFree(block: number): boolean {
    return this.refCount[block] === 0;
  }

  /** One more user of a block that was looked up. */
  touch(block: number): void {
    if (this.refCount[block]++ === 0) this.removeFree(block);
  }

  /** Makes a full block findable by its content. */
  setContent(block: number, content: number): void {
    if (content === noContent || this.content[block] !== noContent) return;
    this.content[block] = content;
    this.withContent++;
    this.stored++;
    if (this.refCount[block] > 0) this.usedWithoutContent--;
    const oldest = this.index.get(content);
    if (oldest === undefined) {
      this.index.set(content, block);
      this.samePrevious[block] = block;
      return;
    }
    const newest = this.samePrevious[oldest];
    this.sameNext[newest] = block;
    this.samePrevious[block] = newest;
    this.samePrevious[oldest] = block;
  }

  /** One user less. At zero the block goes to the tail of the free list and keeps its content. */
  release(block: number): void {
    assert(this.refCount[block] > 0, 'block released more often than taken');
    if (--this.refCount[block] > 0) return;
    if (this.content[block] === noContent) this.usedWithoutContent--;
    this.appendFree(block);
  }

  private forget(block: number): void {
    const content = this.content[block];
    const oldest = this.index.get(content) as number;
    const newer = this.sameNext[block];
    const older = this.samePrevious[block];
    if (block !== oldest) {
      this.sameNext[older] = newer;
      this.samePrevious[newer === none ? oldest : newer] = older;
    } else if (newer === none) {
      this.index.delete(content);
    } else {
      this.index.set(content, newer);
      this.samePrevious[newer] = older;
    }
    this.sameNext[block] = none;
    this.samePrevious[block] = none;
    this.content[block] = noContent;
    this.withContent--;
  }

  private appendFree(block: number): void {
    const sentinel = this.numBlocks;
    const last = this.previous[sentinel];
    this.next[last] = block;
    this.previous[block] = last;
    this.next[block] = sentinel;
    this.previous[sentinel] = block;
    this.free++;
  }

  private removeFree(block: number): void {
    const before = this.previous[block];
    const after = this.next[block];
    this.next[before] = after;
    this.previous[after] = before;
    this.free--;
  }
}
