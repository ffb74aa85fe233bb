/**
 * Blocks of requests, as vLLM V1's KVCacheManager: prefix lookup in full blocks, allocation at
 * schedule time, content made findable when a block is full, everything freed tail first.
 */
import type { RequestState } from '../request-state.js';
import { BlockPool } from './block-pool.js';

export interface KvCacheOptions {
  readonly numBlocks: number;
  readonly blockSize: number;
  readonly prefixCaching: boolean;
}

export class KvCacheManager {
  readonly pool: BlockPool;
  readonly blockSize: number;
  readonly prefixCaching: boolean;
  peakUsedBlocks = 0;
  /** Prompt tokens asked for and found on the device, at first admission. */
  queryTokens = 0;
  hitTokens = 0;
  private readonly hits: number[] = [];

  constructor(options: KvCacheOptions) {
    this.pool = new BlockPool(options.numBlocks);
    this.blockSize = options.blockSize;
    this.prefixCaching = options.prefixCaching;
  }

  /**
   * Tokens of the request's sequence whose KV is already in the pool. At least one token is always
   * left to compute. The blocks found stay valid until the next call.
   */
  findComputedTokens(request: RequestState): number {
    this.hits.length = 0;
    const contents = request.blockContents;
    if (!this.prefixCaching || contents === undefined) return 0;
    const most = Math.floor((request.numTokens - 1) / this.blockSize);
    for (let i = 0; i < most && i < contents.length; i++) {
      const block = this.pool.lookup(contents[i]);
      if (block < 0) break;
      this.hits.push(block);
    }
    return this.hits.length * this.blockSize;
  }

  /**
   * Gives the request blocks for `newTokens` more tokens after `hitTokens` found ones.
   * @param wholeSequence also require that prompt and present output fit into what is free
   * @param findable false: the KV comes later, from elsewhere
   * @returns false, with nothing changed, when there are not enough free blocks
   */
  allocate(
    request: RequestState,
    newTokens: number,
    hitTokens: number,
    wholeSequence: boolean,
    findable = true,
  ): boolean {
    const hitBlocks = hitTokens / this.blockSize;
    let hitsThatAreFree = 0;
    for (let i = 0; i < hitBlocks; i++) {
      if (this.pool.isFree(this.hits[i])) hitsThatAreFree++;
    }
    const computed = request.numComputedTokens + hitTokens;
    const known = request.blocks.length + hitBlocks;
    if (wholeSequence) {
      const all = this.blocksFor(Math.max(request.numTokens, computed + newTokens));
      if (Math.max(0, all - known) + hitsThatAreFree > this.pool.freeBlocks) return false;
    }
    const fresh = Math.max(0, this.blocksFor(computed + newTokens) - known);
    if (fresh + hitsThatAreFree > this.pool.freeBlocks) return false;
    for (let i = 0; i < hitBlocks; i++) {
      this.pool.touch(this.hits[i]);
      request.blocks.push(this.hits[i]);
    }
    request.numCachedBlocks += hitBlocks;
    for (let i = 0; i < fresh; i++) request.blocks.push(this.pool.allocate());
    this.peakUsedBlocks = Math.max(this.peakUsedBlocks, this.pool.usedBlocks);
    if (findable) {
      this.cacheFullBlocks(request, Math.min(computed + newTokens, request.numTokens));
    }
    return true;
  }

  /** Makes blocks findable that are full of known tokens. */
  cacheFullBlocks(request: RequestState, tokens: number): void {
    const contents = request.blockContents;
    if (!this.prefixCaching || contents === undefined) return;
    const full = Math.min(Math.floor(tokens / this.blockSize), contents.length);
    for (let i = request.numCachedBlocks; i < full; i++) {
      this.pool.setContent(request.blocks.data[i], contents[i]);
    }
    request.numCachedBlocks = Math.max(request.numCachedBlocks, full);
  }

  /** Frees tail first, so that a prefix outlives its continuation. */
  free(request: RequestState): void {
    for (let i = request.blocks.length - 1; i >= 0; i--) {
      this.pool.release(request.blocks.data[i]);
    }
    request.blocks.clear();
    request.numCachedBlocks = 0;
  }

  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }
}
