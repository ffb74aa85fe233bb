/**
 * Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values are kept as one latent per
 * token for all heads, beside a shared rotary key; queries may be compressed too.
 */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';

const positive = z.number().int().positive();

export const latentFields = {
  q_lora_rank: positive.nullish(),
  kv_lora_rank: positive.nullish(),
  qk_nope_head_dim: positive.nullish(),
  qk_rope_head_dim: positive.nullish(),
  v_head_dim: positive.nullish(),
};

export interface LatentAttentionShape {
  /** Undefined: queries are projected at once. */
  readonly queryRank: number | undefined;
  readonly kvRank: number;
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
}

type LatentConfig = { readonly [K in keyof typeof latentFields]?: number | null | undefined };

/** @returns undefined without a latent. @throws UserError an incomplete one */
export function parseLatentAttention(
  hf: LatentConfig,
  at: string,
): LatentAttentionShape | undefined {
  if (hf.kv_lora_rank === null || hf.kv_lora_rank === undefined) return undefined;
  const need = (key: keyof LatentConfig): number => {
    const value = hf[key];
    if (value === null || value === undefined) {
      throw new UserError(`${key} is missing: kv_lora_rank says latent attention`, { at });
    }
    return value;
  };
  return {
    queryRank: hf.q_lora_rank ?? undefined,
    kvRank: hf.kv_lora_rank,
    nopeDim: need('qk_nope_head_dim'),
    ropeDim: need('qk_rope_head_dim'),
    valueDim: need('v_head_dim'),
  };
}

/** Latent and rotary key of one token of one layer: the same on every rank. */
export function latentKvElements({ kvRank, ropeDim }: LatentAttentionShape): number {
  return kvRank + ropeDim;
}

/** Weight elements of one rank's attention block. */
export function latentAttentionElements(
  mla: LatentAttentionShape,
  hiddenSize: number,
  heads: number,
): number {
  const { queryRank, kvRank, nopeDim, ropeDim, valueDim } = mla;
  const queryWidth = heads * (nopeDim + ropeDim);
  const query =
    queryRank === undefined
      ? hiddenSize * queryWidth
      : hiddenSize * queryRank + queryRank + queryRank * queryWidth;
  const latent = hiddenSize * (kvRank + ropeDim) + kvRank;
  return query + latent + kvRank * heads * (nopeDim + valueDim) + heads * valueDim * hiddenSize;
}
