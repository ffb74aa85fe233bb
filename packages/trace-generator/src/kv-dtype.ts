/**
 * Attention over a KV cache of another type than the profile was measured with (`kv_cache_dtype`). A
 * decode reads its cache from memory and does little else, so it takes as long as one of as many bytes:
 * of half the context with a cache half as wide. Chunks compute, and keep their time. What converting
 * costs, and whether a kernel exists, is not modelled; reading at the memory's rate is what makers of
 * such kernels aim at.
 */
import { dtypeBytes, type Instance } from '@astrolabe/config';
import {
  type AttentionBatch,
  kvDtypeOfProfile,
  type LatencyModel,
  withTimes,
} from '@astrolabe/profile';
import type { Terms } from './terms.js';

/** The model itself where the cache is of the model's type, as profiles are, or was measured. */
export function kvDtype(
  base: LatencyModel,
  { engine }: Instance,
  terms: Pick<Terms, 'kvDtype'>,
): LatencyModel {
  const share = dtypeBytes[engine.kvCacheDtype] / dtypeBytes[engine.dtype];
  const measured = kvDtypeOfProfile(base.dtype) !== undefined;
  if (share === 1 || measured || !terms.kvDtype) return base;
  const narrow = new NarrowDecodes(share);
  return withTimes(base, {
    attentionNs: (tp, batch) => base.attentionNs(tp, narrow.of(batch)),
  });
}

/** A batch whose decodes have a share of their context; one object for all. */
class NarrowDecodes implements AttentionBatch {
  prefillCount = 0;
  prefillNewTokens: ArrayLike<number> = [];
  prefillContextTokens: ArrayLike<number> = [];
  decodeCount = 0;
  decodeContextSum = 0;
  decodeContexts: Float64Array | undefined;
  private readonly share: number;
  private contexts = new Float64Array(64);

  constructor(share: number) {
    this.share = share;
  }

  of(batch: AttentionBatch): AttentionBatch {
    const { share } = this;
    const { decodeCount, decodeContexts } = batch;
    this.prefillCount = batch.prefillCount;
    this.prefillNewTokens = batch.prefillNewTokens;
    this.prefillContextTokens = batch.prefillContextTokens;
    this.decodeCount = decodeCount;
    this.decodeContextSum = share * batch.decodeContextSum;
    this.decodeContexts = undefined;
    if (decodeContexts === undefined) return this;
    if (this.contexts.length < decodeCount) this.contexts = new Float64Array(2 * decodeCount);
    for (let i = 0; i < decodeCount; i++) this.contexts[i] = share * decodeContexts[i];
    this.decodeContexts = this.contexts;
    return this;
  }
}
