/**
 * Blocks of requests, as vLLM V1's KVCacheManager: prefix lookup in full blocks, allocation at
 * schedule time, content made findable when a block is full, everything freed tail first. Layers that
 * attend alike are a group; with windows in some layers only there are several (vLLM's hybrid KV cache
 * manager), and a prefix is found where every group has what the next token needs of it.
 */
import type { RequestState } from '../request-state.js';
import { noContent } from './block-content.js';
import { BlockGroup, emptyHolding, type Holding, nullBlock } from './block-group.js';
import { BlockPool } from './block-pool.js';

interface KvCacheOptions {
  readonly numBlocks: number;
  readonly blockSize: number;
  readonly prefixCaching: boolean;
  /** Tokens that a token attends to, itself included; absent: all before it. */
  readonly window?: number | undefined;
  /** Numbers of groups, where only some have the window; absent: one. */
  readonly groups?: { readonly full: number; readonly windowed: number } | undefined;
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
  /** Those that see all tokens, then those with a window. */
  private readonly groups: readonly BlockGroup[];
  private readonly full: readonly BlockGroup[];
  private readonly windowed: readonly BlockGroup[];

  constructor(options: KvCacheOptions) {
    const { blockSize, window = Number.POSITIVE_INFINITY } = options;
    this.pool = new BlockPool(options.numBlocks);
    this.blockSize = blockSize;
    this.prefixCaching = options.prefixCaching;
    const step = options.maxStepTokens ?? Number.POSITIVE_INFINITY;
    const one = options.window === undefined ? { full: 1, windowed: 0 } : { full: 0, windowed: 1 };
    const { full, windowed } = options.groups ?? one;
    const numGroups = full + windowed;
    this.groups = Array.from({ length: numGroups }, (_, ordinal) => {
      const own = ordinal < full ? Number.POSITIVE_INFINITY : window;
      return new BlockGroup(this.pool, blockSize, { ordinal, numGroups }, own, step);
    });
    this.full = this.groups.slice(0, full);
    this.windowed = this.groups.slice(full);
  }

  /**
   * Tokens of the request's sequence whose KV is already in the pool. At least one token is always
   * left to compute. The blocks found stay valid until the next call.
   */
  findComputedTokens(request: RequestState): number {
    for (const group of this.groups) group.hits.length = 0;
    const contents = request.blockContents;
    if (!this.prefixCaching || contents === undefined) return 0;
    const known = Math.floor((request.numTokens - 1) / this.blockSize);
    const most = this.findFromStart(contents, Math.min(known, contents.length));
    const found = this.windowed.length === 0 ? most : this.findInWindow(contents, most);
    for (const group of this.full) group.hits.length = found;
    return found * this.blockSize;
  }

  /** Leading blocks that all groups have that see all tokens; without such groups all there are. */
  private findFromStart(contents: Int32Array, most: number): number {
    let end = most;
    for (const group of this.full) {
      for (let i = 0; i < end; i++) {
        const block = group.lookup(contents[i]);
        if (block < 0) end = i;
        else group.hits.push(block);
      }
    }
    return end;
  }

  /** The longest prefix whose end is there as far back as the window reaches, searched from its end. */
  private findInWindow(contents: Int32Array, most: number): number {
    // Of a window of one token, too, vLLM wants the block before it.
    const needed = Math.max(1, Math.ceil((this.windowed[0].window - 1) / this.blockSize));
    let end = most;
    let run = 0;
    for (let i = most - 1; i >= 0 && run < needed; i--) {
      if (this.windowsHave(contents[i])) run++;
      else {
        end = i;
        run = 0;
      }
    }
    // A run that reaches the start is complete however short it is.
    if (run === 0) return 0;
    for (const group of this.windowed) {
      for (let i = 0; i < end; i++) {
        group.hits.push(i < end - run ? nullBlock : group.lookup(contents[i]));
      }
    }
    return end;
  }

  private windowsHave(content: number): boolean {
    for (const group of this.windowed) if (group.lookup(content) < 0) return false;
    return true;
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
    // What a window gives back stays findable, so its content must be known before.
    if (this.windowed.length > 0) this.nameOwn(request);
    const hits = hitTokens / this.blockSize;
    const tokens = request.numComputedTokens + hitTokens + newTokens;
    const whole = wholeSequence ? Math.max(request.numTokens, tokens) : 0;
    let needed = 0;
    let neededForAll = 0;
    for (let g = 0; g < this.groups.length; g++) {
      const group = this.groups[g];
      const holding = holdingOf(request, g);
      group.dropBehindWindow(holding, request.numComputedTokens);
      const found = group.foundFree(hits);
      needed += found + group.fresh(holding, hits, tokens);
      neededForAll += found + group.freshUntil(holding, hits, whole);
    }
    if (needed > this.pool.freeBlocks) return false;
    if (wholeSequence && neededForAll > this.pool.freeBlocks) return false;
    // What is found is taken first: fresh blocks of a group must not be those that another found.
    for (let g = 0; g < this.groups.length; g++)
      this.groups[g].take(holdingOf(request, g), hits, 0);
    for (let g = 0; g < this.groups.length; g++) {
      const holding = holdingOf(request, g);
      this.groups[g].take(holding, 0, this.groups[g].fresh(holding, 0, tokens));
    }
    this.peakUsedBlocks = Math.max(this.peakUsedBlocks, this.pool.usedBlocks);
    if (findable) this.cacheFullBlocks(request, Math.min(tokens, request.numTokens));
    return true;
  }

  /** Makes blocks findable that are full of known tokens. */
  cacheFullBlocks(request: RequestState, tokens: number): void {
    const contents = request.blockContents;
    if (!this.prefixCaching || contents === undefined) return;
    const full = Math.min(Math.floor(tokens / this.blockSize), contents.length);
    for (let g = 0; g < this.groups.length; g++) {
      this.groups[g].cacheFull(holdingOf(request, g), contents, full);
    }
  }

  /**
   * Makes a request that is about to lose its blocks able to find them again, as vLLM does, which
   * hashes every request. Where nobody else could ask for its content, it has had no ids so far.
   * @param unknown output tokens that were not known when the step that computes on them was composed
   */
  remember(request: RequestState, unknown: number): void {
    if (!this.nameOwn(request)) return;
    const { promptTokens, numOutputTokens, numComputedTokens } = request;
    const tokens =
      numOutputTokens === 0
        ? Math.min(numComputedTokens, promptTokens)
        : numComputedTokens - unknown;
    this.cacheFullBlocks(request, tokens);
  }

  /** Ids for content that nobody else has. @returns false where there are some, or no use for any */
  private nameOwn(request: RequestState): boolean {
    if (!this.prefixCaching || request.blockContents !== undefined) return false;
    const { promptTokens, outputTokens } = request;
    const own = new Int32Array(Math.floor((promptTokens + outputTokens) / this.blockSize));
    for (let i = 0; i < own.length; i++) own[i] = this.nextOwnContent--;
    request.blockContents = own;
    return true;
  }

  free(request: RequestState): void {
    for (let g = 0; g < this.groups.length; g++) this.groups[g].free(holdingOf(request, g));
  }

  /** Of one group, for the whole sequence. */
  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }

  /** Most blocks that a sequence of this length holds at once. */
  peakBlocksFor(tokens: number): number {
    let blocks = 0;
    for (const group of this.groups) blocks += group.peakBlocksFor(tokens);
    return blocks;
  }
}

/** The first group's blocks are the request's own; what it holds in others comes with need. */
function holdingOf(request: RequestState, group: number): Holding {
  if (group === 0) return request;
  request.otherGroups[group - 1] ??= emptyHolding();
  return request.otherGroups[group - 1];
}
