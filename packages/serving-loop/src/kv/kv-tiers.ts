/**
 * The tiers below one instance's device pool: where the prefix of a request goes on, what a recall
 * reads, and what is written down when chunks are complete. Accounting as vLLM with LMCache counts
 * it: tokens found below = those beyond the device's own hit, at least one token is computed; found
 * again partly on the device, a chunk is read whole.
 */
import type { KvTierName } from '@astrolabe/config';
import type { RequestState } from '../request-state.js';
import type { TierStore } from './tier-store.js';

export interface KvTier {
  readonly name: KvTierName;
  readonly store: TierStore;
  /** Node of the instance. */
  readonly node: number;
  /** Devices the tier consists of; 1 but for CXL. */
  readonly numDevices: number;
  /** A multiple of the block size. */
  readonly chunkTokens: number;
  /** Bytes of one chunk on all ranks of the instance. */
  readonly chunkBytes: number;
  /** The same per rank, in the order of the instance's NPUs. */
  readonly rankBytes: readonly number[];
  readonly blocking: boolean;
  readonly saveOutput: boolean;
  /** Sets apart instances whose KV differs though the tokens are equal. */
  readonly namespace: number;
}

export interface TierChunk {
  readonly tier: KvTier;
  readonly key: number;
}

/** A prefix that goes on below the device. */
export interface Recall {
  /** Tokens gained beyond the device's hit. */
  readonly tokens: number;
  /** The same by tier. */
  readonly tokensOf: readonly number[];
  readonly chunks: readonly TierChunk[];
  readonly blocking: boolean;
}

/** Tokens asked for and found below the device, at first admission. */
interface TierTokens {
  queryTokens: number;
  hitTokens: number;
}

const keysPerNamespace = 2 ** 31;

export class KvTiers {
  readonly tiers: readonly KvTier[];
  private readonly tokens: TierTokens[];
  private readonly blockSize: number;

  constructor(tiers: readonly KvTier[], blockSize: number) {
    this.tiers = tiers;
    this.tokens = tiers.map(() => ({ queryTokens: 0, hitTokens: 0 }));
    this.blockSize = blockSize;
  }

  /**
   * Follows the request's content from the end of its device hit, chunk by chunk, nearest tier
   * first, to the first chunk that is nowhere.
   * @returns undefined when nothing is gained
   */
  find(request: RequestState, deviceHitTokens: number): Recall | undefined {
    const contents = request.blockContents;
    if (contents === undefined) return undefined;
    const chunks: TierChunk[] = [];
    const tokensOf = this.tiers.map(() => 0);
    const most = request.numTokens - 1;
    let position = deviceHitTokens;
    while (position < most) {
      const next = this.chunkAt(contents, position, request.numTokens);
      if (next === undefined) break;
      const { chunkTokens } = next.tier;
      const end = Math.min((Math.floor(position / chunkTokens) + 1) * chunkTokens, most);
      chunks.push(next);
      tokensOf[this.tiers.indexOf(next.tier)] += end - position;
      position = end;
    }
    if (chunks.length === 0) return undefined;
    const blocking = chunks.some(({ tier }) => tier.blocking);
    return { tokens: position - deviceHitTokens, tokensOf, chunks, blocking };
  }

  /** Tokens asked for and found in a pool by this instance. */
  tokensIn(store: TierStore): TierTokens | undefined {
    return this.tokens[this.tiers.findIndex((tier) => tier.store === store)];
  }

  /** A first admission, for the statistics. */
  count(request: RequestState, recall: Recall | undefined): void {
    for (let t = 0; t < this.tiers.length; t++) {
      this.tokens[t].queryTokens += request.promptTokens;
      this.tokens[t].hitTokens += recall?.tokensOf[t] ?? 0;
    }
  }

  private chunkAt(contents: Int32Array, position: number, known: number): TierChunk | undefined {
    for (const tier of this.tiers) {
      const index = Math.floor(position / tier.chunkTokens);
      if ((index + 1) * tier.chunkTokens > known) continue;
      const key = this.keyOf(tier, contents, index);
      if (tier.store.has(key)) return { tier, key };
    }
    return undefined;
  }

  /** Holds what a recall reads. Call `endRecall` once, whatever becomes of the request. */
  beginRecall(recall: Recall): void {
    for (const { tier, key } of recall.chunks) tier.store.pin(key);
  }

  endRecall(recall: Recall): void {
    for (const { tier, key } of recall.chunks) tier.store.unpin(key);
  }

  /**
   * Begins to write chunks that have become complete.
   * @param computedTokens of the request's sequence; only known tokens count
   * @returns what must be moved; call `commit` when it has
   */
  writeDown(request: RequestState, computedTokens: number): TierChunk[] {
    const contents = request.blockContents;
    if (contents === undefined) return [];
    const written: TierChunk[] = [];
    for (let t = 0; t < this.tiers.length; t++) {
      const tier = this.tiers[t];
      const end = tier.saveOutput ? request.numTokens : request.promptTokens;
      const tokens = Math.min(computedTokens, end, contents.length * this.blockSize);
      const complete = Math.floor(tokens / tier.chunkTokens);
      request.writtenChunks ??= new Int32Array(this.tiers.length);
      for (let index = request.writtenChunks[t]; index < complete; index++) {
        const key = this.keyOf(tier, contents, index);
        if (tier.store.reserve(key, tier.chunkBytes)) written.push({ tier, key });
      }
      request.writtenChunks[t] = Math.max(request.writtenChunks[t], complete);
    }
    return written;
  }

  commit(chunks: readonly TierChunk[]): void {
    for (const { tier, key } of chunks) tier.store.commit(key);
  }

  /** A block's content stands for all tokens before it, so a chunk is named by its last block. */
  private keyOf(tier: KvTier, contents: Int32Array, index: number): number {
    const last = ((index + 1) * tier.chunkTokens) / this.blockSize - 1;
    return tier.namespace * keysPerNamespace + contents[last];
  }
}
