/**
 * Blocks of the layers that attend alike. vLLM puts layers into groups of one size; a block holds the
 * KV of so many tokens for the layers of one group, and all groups take theirs from one pool. Layers
 * with a window give blocks back that no later token attends to; the null block stands in their place.
 */
import { GrowableInt32 } from '@astrolabe/base';
import { noContent } from './block-content.js';
import type { BlockPool } from './block-pool.js';

/** Stands where a request holds no block. */
export const nullBlock = 0;

/** What a request holds in one group. */
export interface Holding {
  readonly blocks: GrowableInt32;
  /** Leading blocks already findable by content. */
  numCachedBlocks: number;
  /** Leading blocks given back because a sliding window has passed them. */
  numDroppedBlocks: number;
}

export function emptyHolding(): Holding {
  return { blocks: new GrowableInt32(8), numCachedBlocks: 0, numDroppedBlocks: 0 };
}

export class BlockGroup {
  /** Of the last search, blocks in order of the sequence. */
  readonly hits: number[] = [];
  readonly window: number;
  private readonly pool: BlockPool;
  private readonly blockSize: number;
  /** Which of how many: content is found by group. */
  private readonly ordinal: number;
  private readonly numGroups: number;
  /** Most blocks that a window and one step hold together. */
  private readonly windowBlocks: number;

  /** @param window Infinity: all tokens before */
  constructor(
    pool: BlockPool,
    blockSize: number,
    place: { readonly ordinal: number; readonly numGroups: number },
    window: number,
    maxStepTokens: number,
  ) {
    this.pool = pool;
    this.blockSize = blockSize;
    this.ordinal = place.ordinal;
    this.numGroups = place.numGroups;
    this.window = window;
    this.windowBlocks = this.blocksFor(window - 1 + maxStepTokens) + 1;
  }

  /** The group's block of this content, or -1. */
  lookup(content: number): number {
    return content === noContent ? -1 : this.pool.lookup(this.keyOf(content));
  }

  /** Blocks that allocation takes out of the free ones: those found, and fresh ones. */
  foundFree(hitBlocks: number): number {
    let free = 0;
    for (let i = 0; i < hitBlocks; i++) {
      if (this.hits[i] !== nullBlock && this.pool.isFree(this.hits[i])) free++;
    }
    return free;
  }

  fresh(holding: Holding, hitBlocks: number, tokens: number): number {
    return Math.max(0, this.blocksFor(tokens) - holding.blocks.length - hitBlocks);
  }

  /** Fresh blocks until the sequence has so many tokens, as many as are held at once. */
  freshUntil(holding: Holding, hitBlocks: number, tokens: number): number {
    let held = holding.blocks.length - holding.numDroppedBlocks;
    for (let i = 0; i < hitBlocks; i++) if (this.hits[i] !== nullBlock) held++;
    return Math.max(0, Math.min(this.fresh(holding, hitBlocks, tokens), this.windowBlocks - held));
  }

  take(holding: Holding, hitBlocks: number, fresh: number): void {
    for (let i = 0; i < hitBlocks; i++) {
      if (this.hits[i] !== nullBlock) this.pool.touch(this.hits[i]);
      holding.blocks.push(this.hits[i]);
    }
    holding.numCachedBlocks += hitBlocks;
    for (let i = 0; i < fresh; i++) holding.blocks.push(this.pool.allocate());
  }

  /** Makes blocks findable that are full of known tokens. */
  cacheFull(holding: Holding, contents: Int32Array, full: number): void {
    for (let i = holding.numCachedBlocks; i < full; i++) {
      const block = holding.blocks.data[i];
      if (block !== nullBlock && contents[i] !== noContent) {
        this.pool.setContent(block, this.keyOf(contents[i]));
      }
    }
    holding.numCachedBlocks = Math.max(holding.numCachedBlocks, full);
  }

  /** Frees tail first, so that a prefix outlives its continuation. */
  free(holding: Holding): void {
    for (let i = holding.blocks.length - 1; i >= 0; i--) {
      if (holding.blocks.data[i] !== nullBlock) this.pool.release(holding.blocks.data[i]);
    }
    holding.blocks.clear();
    holding.numCachedBlocks = 0;
    holding.numDroppedBlocks = 0;
  }

  /**
   * Gives back blocks whose last token no token to come attends to, the last of them first, as vLLM's
   * `remove_skipped_blocks`: what begins a sequence stays findable for longer than what goes on.
   */
  dropBehindWindow(holding: Holding, computedTokens: number): void {
    const behind = Math.floor((computedTokens - this.window + 1) / this.blockSize);
    const { data } = holding.blocks;
    const end = Math.min(behind, holding.blocks.length);
    for (let i = end - 1; i >= holding.numDroppedBlocks; i--) {
      if (data[i] === nullBlock) continue;
      this.pool.release(data[i]);
      data[i] = nullBlock;
    }
    holding.numDroppedBlocks = Math.max(holding.numDroppedBlocks, end);
  }

  /** Most blocks that a sequence of this length holds at once. */
  peakBlocksFor(tokens: number): number {
    return Math.min(this.blocksFor(tokens), this.windowBlocks);
  }

  private blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }

  private keyOf(content: number): number {
    return content * this.numGroups + this.ordinal;
  }
}
