/**
 * How a serving engine is run: vLLM's own option names, in snake_case as users write them in a
 * cluster file, and as flags (`--max-num-seqs`). Precedence: flag, then instance, then default.
 */
import { z } from 'zod';

const positive = z.number().int().positive();
const count = z.number().int().nonnegative();
const share = z.number().min(0).max(1);

/** Weight and KV dtypes and their bytes per element. */
export const dtypeBytes = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  fp8: 1,
  int8: 1,
} as const;
export type Dtype = keyof typeof dtypeBytes;

/** What a batch is padded to; see trace-generator's `batch-padding.ts`. */
export const batchPaddings = ['cuda-graphs', 'buckets', 'none'] as const;
export type BatchPadding = (typeof batchPaddings)[number];

const dtypes = Object.keys(dtypeBytes) as [Dtype, ...Dtype[]];

/** Options that an instance of the cluster file may set; every one is optional there. */
export const engineOverridesSchema = z.strictObject({
  max_num_seqs: count.describe('most requests in one batch; 0 = no limit').optional(),
  max_num_batched_tokens: count
    .describe('token budget of one step; 0 = the context length')
    .optional(),
  max_model_len: positive
    .describe('longest sequence (prompt + output) the engine accepts, tokens')
    .optional(),
  long_prefill_token_threshold: count
    .describe('cap on the tokens of one prefill chunk; 0 = none')
    .optional(),
  block_size: positive.describe('tokens per KV block').optional(),
  dtype: z.enum(dtypes).describe('weights and activations').optional(),
  kv_cache_dtype: z
    .enum(['auto', ...dtypes])
    .describe('auto = dtype')
    .optional(),
  enable_chunked_prefill: z.boolean().describe('prompts are split over steps').optional(),
  enable_prefix_caching: z.boolean().describe('KV of equal prefixes is used again').optional(),
  reserve_full_isl: z
    .boolean()
    .describe('admit a request only if its whole prompt fits in free KV blocks')
    .optional(),
  async_scheduling: z
    .boolean()
    .describe('two batches in flight: a batch is composed while its predecessor runs')
    .optional(),
  kv_blocks: positive.describe('KV blocks of the device pool; default: predicted').optional(),
  scheduling_policy: z
    .enum(['fcfs', 'priority'])
    .describe('priority: lower numbers first; the least urgent is preempted')
    .optional(),
  enable_attn_offloading: z
    .boolean()
    .describe('decode attention runs in the PIM channels of the node\u2019s memory')
    .optional(),
  enable_sub_batch_interleaving: z
    .boolean()
    .describe('two halves of a batch take turns between device and PIM')
    .optional(),
  batch_padding: z
    .enum(batchPaddings)
    .describe(
      'cuda-graphs: tokens to the next captured size; buckets: tokens and rows to powers of two, as ' +
        'XLA compiles them (default on TPUs); none: batches run as they are',
    )
    .optional(),
  bucket_padding_gap: count
    .describe('buckets of more tokens than this are so far apart; 0 = powers of two')
    .optional(),
  speculative_tokens: count.describe('draft tokens a decode verifies per step; 0 = off').optional(),
  speculative_acceptance: share
    .describe('chance that a draft token is accepted, given those before it were')
    .optional(),
  speculative_draft_ns: count.describe('time of one pass of the draft model, ns').optional(),
  eos_share: share
    .describe('share of requests that end by a token nobody foresaw, not by their length limit')
    .optional(),
});

export type EngineOverrides = z.infer<typeof engineOverridesSchema>;

/**
 * The engine with everything decided. Defaults are vLLM 0.19's for an API server on a device with
 * less than 70 GiB, except max_num_seqs 128 as in LLMServingSim.
 */
export interface EngineOptions {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  /** Undefined: the model's own context length. */
  readonly maxModelLen: number | undefined;
  readonly longPrefillTokenThreshold: number;
  readonly blockSize: number;
  readonly dtype: Dtype;
  readonly kvCacheDtype: Dtype;
  readonly enableChunkedPrefill: boolean;
  readonly enablePrefixCaching: boolean;
  readonly reserveFullIsl: boolean;
  readonly asyncScheduling: boolean;
  readonly kvBlocks: number | undefined;
  readonly schedulingPolicy: 'fcfs' | 'priority';
  readonly batchPadding: BatchPadding;
  /** Tokens; 0: buckets are powers of two. */
  readonly bucketPaddingGap: number;
  /** Undefined: one token per decode and step. */
  readonly speculation: SpeculationOptions | undefined;
  readonly eosShare: number;
  readonly attentionOffload: boolean;
  readonly subBatchInterleaving: boolean;
}

export interface SpeculationOptions {
  readonly tokens: number;
  readonly acceptance: number;
  readonly draftNs: number;
}

/** What engines do otherwise on some devices: defaults below whatever users say. */
export function deviceEngine(hardware: string): EngineOverrides {
  // vLLM runs TPUs through XLA, which compiles static shapes and knows no CUDA graphs.
  return /^tpu/i.test(hardware) ? { batch_padding: 'buckets' } : {};
}

/** One place for precedence: later layers win where they say something. */
export function resolveEngine(
  modelDtype: Dtype,
  ...layers: readonly EngineOverrides[]
): EngineOptions {
  const merged: EngineOverrides = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value !== undefined) Object.assign(merged, { [key]: value });
    }
  }
  const dtype = merged.dtype ?? modelDtype;
  const kv = merged.kv_cache_dtype ?? 'auto';
  return {
    maxNumSeqs: merged.max_num_seqs || unlimited(merged.max_num_seqs) || 128,
    maxNumBatchedTokens:
      merged.max_num_batched_tokens || unlimited(merged.max_num_batched_tokens) || 2048,
    maxModelLen: merged.max_model_len,
    longPrefillTokenThreshold: merged.long_prefill_token_threshold ?? 0,
    blockSize: merged.block_size ?? 16,
    dtype,
    kvCacheDtype: kv === 'auto' ? dtype : kv,
    enableChunkedPrefill: merged.enable_chunked_prefill ?? true,
    enablePrefixCaching: merged.enable_prefix_caching ?? true,
    reserveFullIsl: merged.reserve_full_isl ?? true,
    asyncScheduling: merged.async_scheduling ?? true,
    kvBlocks: merged.kv_blocks,
    schedulingPolicy: merged.scheduling_policy ?? 'fcfs',
    batchPadding: merged.batch_padding ?? 'cuda-graphs',
    bucketPaddingGap: merged.bucket_padding_gap ?? 0,
    speculation: merged.speculative_tokens
      ? {
          tokens: merged.speculative_tokens,
          acceptance: merged.speculative_acceptance ?? 0.7,
          draftNs: merged.speculative_draft_ns ?? 0,
        }
      : undefined,
    eosShare: merged.eos_share ?? 0,
    attentionOffload: merged.enable_attn_offloading ?? false,
    subBatchInterleaving: merged.enable_sub_batch_interleaving ?? false,
  };
}

function unlimited(limit: number | undefined): number | undefined {
  return limit === 0 ? Number.POSITIVE_INFINITY : undefined;
}

/** A step never holds more tokens than the context, nor more requests than tokens. */
export function limitEngine(options: EngineOptions, contextTokens: number): EngineOptions {
  const maxNumBatchedTokens = Math.min(options.maxNumBatchedTokens, contextTokens);
  const maxNumSeqs = Math.min(options.maxNumSeqs, maxNumBatchedTokens);
  return { ...options, maxNumBatchedTokens, maxNumSeqs };
}
