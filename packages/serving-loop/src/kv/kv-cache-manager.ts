/**
 * Blocks of requests, as vLLM V1's KVCacheManager: prefix lookup in full blocks, allocation at
 * schedule time, content made findable when a block is full, everything freed tail first. With a
 * sliding window, blocks that no later token attends to are given back while the request runs; the
 * null block stands in their place, as in vLLM.
 */
import type { RequestState } from '../request-state.js';
import { noContent } from './block-content.js';
import { BlockPool } from './block-pool.js';

/** Stands where a request holds no block. */
const nullBlock = 0;

export interface KvCacheOptions {
  readonly numBlocks: number;
  readonly blockSize: number;
  readonly prefixCaching: boolean;
  /** Tokens that a token attends to, itself included; absent: all before it. */
  readonly window?: number | undefined;
  /** Most tokens of one step, which a window holds beside itself. */
  readonly maxStepTokens?: number;
}

export class KvCacheManager {
  readonly pool: BlockPool;
  readonly blockSize: number;
  readonly prefixCaching: boolean;
  peakUsedBlocks = 0;
  /** Prompt tokens asked for and found on the device, at first admission. */
  queryTokens = 0;
  hitTokens = 0;
  /** Ids of content that one request alone has; those that requests can share are not negative. */
  private nextOwnContent = noContent - 1;
  private readonly hits: number[] = [];
  private readonly window: number;
  /** Most blocks that a window and one step hold together. */
  private readonly windowBlocks: number;

  constructor(options: KvCacheOptions) {
    this.pool = new BlockPool(options.numBlocks);
    this.blockSize = options.blockSize;
    this.prefixCaching = options.prefixCaching;
    this.window = options.window ?? Number.POSITIVE_INFINITY;
    const step = options.maxStepTokens ?? Number.POSITIVE_INFINITY;
    this.windowBlocks = this.blocksFor(this.window - 1 + step) + 1;
  }

  /**
   * Tokens of the request's sequence whose KV is already in the pool. At least one token is always
   * left to compute. The blocks found stay valid until the next call.
   */
  findComputedTokens(request: RequestState): number {
    this.hits.length = 0;
    const contents = request.blockContents;
    if (!this.prefixCaching || contents === undefined) return 0;
    const known = Math.floor((request.numTokens - 1) / this.blockSize);
    const most = Math.min(known, contents.length);
    if (this.window !== Number.POSITIVE_INFINITY) this.findInWindow(contents, most);
    else this.findFromStart(contents, most);
    return this.hits.length * this.blockSize;
  }

  private findFromStart(contents: Int32Array, most: number): void {
    for (let i = 0; i < most; i++) {
      const block = this.pool.lookup(contents[i]);
      if (block < 0) return;
      this.hits.push(block);
    }
  }

  /** The longest prefix whose end is there as far back as the window reaches, searched from its end. */
  private findInWindow(contents: Int32Array, most: number): void {
    const needed = Math.ceil((this.window - 1) / this.blockSize);
    let end = most;
    let run = 0;
    for (let i = most - 1; i >= 0 && run < needed; i--) {
      if (this.pool.lookup(contents[i]) >= 0) run++;
      else {
        end = i;
        run = 0;
      }
    }
    // A run that reaches the start is complete however short it is.
    if (run === 0) return;
    for (let i = 0; i < end; i++) {
      this.hits.push(i < end - run ? nullBlock : this.pool.lookup(contents[i]));
    }
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
    this.dropBehindWindow(request);
    const hitBlocks = hitTokens / this.blockSize;
    let held = request.blocks.length - request.numDroppedBlocks;
    let hitsThatAreFree = 0;
    for (let i = 0; i < hitBlocks; i++) {
      if (this.hits[i] === nullBlock) continue;
      held++;
      if (this.pool.isFree(this.hits[i])) hitsThatAreFree++;
    }
    const computed = request.numComputedTokens + hitTokens;
    const known = request.blocks.length + hitBlocks;
    if (wholeSequence) {
      const all = this.blocksFor(Math.max(request.numTokens, computed + newTokens));
      const more = Math.min(all - known, this.windowBlocks - held);
      if (Math.max(0, more) + hitsThatAreFree > this.pool.freeBlocks) return false;
    }
    const fresh = Math.max(0, this.blocksFor(computed + newTokens) - known);
    if (fresh + hitsThatAreFree > this.pool.freeBlocks) return false;
    for (let i = 0; i < hitBlocks; i++) {
      if (this.hits[i] !== nullBlock) this.pool.touch(this.hits[i]);
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
      const block = request.blocks.data[i];
      if (block !== nullBlock) this.pool.setContent(block, contents[i]);
    }
    request.numCachedBlocks = Math.max(request.numCachedBlocks, full);
  }

  /**
   * Makes a request that is about to lose its blocks able to find them again, as vLLM does, which
   * hashes every request. Where nobody else could ask for its content, it has had no ids so far.
   * @param unknown output tokens that were not known when the step that computes on them was composed
   */
  remember(request: RequestState, unknown: number): void {
    if (!this.prefixCaching || request.blockContents !== undefined) return;
    const { promptTokens, outputTokens, numOutputTokens, numComputedTokens } = request;
    const tokens =
      numOutputTokens === 0
        ? Math.min(numComputedTokens, promptTokens)
        : numComputedTokens - unknown;
    const own = new Int32Array(Math.floor((promptTokens + outputTokens) / this.blockSize));
    for (let i = 0; i < own.length; i++) own[i] = this.nextOwnContent--;
    request.blockContents = own;
    this.cacheFullBlocks(request, tokens);
  }

  /** Frees tail first, so that a prefix outlives its continuation. */
  free(request: RequestState): void {
    for (let i = request.blocks.length - 1; i >= 0; i--) {
      if (request.blocks.data[i] !== nullBlock) this.pool.release(request.blocks.data[i]);
    }
    request.blocks.clear();
    request.numCachedBlocks = 0;
    request.numDroppedBlocks = 0;
  }

  /** Gives back blocks whose last token no token to come attends to. */
  private dropBehindWindow(request: RequestState): void {
    const behind = Math.floor((request.numComputedTokens - this.window + 1) / this.blockSize);
    const { data } = request.blocks;
    const end = Math.min(behind, request.blocks.length);
    for (let i = request.numDroppedBlocks; i < end; i++) {
      if (data[i] === nullBlock) continue;
      this.pool.release(data[i]);
      data[i] = nullBlock;
    }
    request.numDroppedBlocks = Math.max(request.numDroppedBlocks, end);
  }

  /** Most blocks that a sequence of this length holds at once. */
  peakBlocksFor(tokens: number): number {
    return Math.min(this.blocksFor(tokens), this.windowBlocks);
  }

  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }
}
