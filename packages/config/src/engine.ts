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

export const dtypes = Object.keys(dtypeBytes) as [Dtype, ...Dtype[]];
export const kvCacheDtypes = ['auto', ...dtypes] as const;

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
  kv_cache_dtype: z.enum(kvCacheDtypes).describe('auto = dtype').optional(),
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
    .describe("decode attention runs in the PIM channels of the node's memory")
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
 * vLLM 0.19's for an API server on a device with less than 70 GiB, except max_num_seqs 128 as in
 * LLMServingSim. What has none is decided by the model or the device.
 */
export const engineDefaults = {
  max_num_seqs: 128,
  max_num_batched_tokens: 2048,
  long_prefill_token_threshold: 0,
  block_size: 16,
  kv_cache_dtype: 'auto',
  enable_chunked_prefill: true,
  enable_prefix_caching: true,
  reserve_full_isl: true,
  async_scheduling: true,
  scheduling_policy: 'fcfs',
  enable_attn_offloading: false,
  enable_sub_batch_interleaving: false,
  batch_padding: 'cuda-graphs',
  bucket_padding_gap: 0,
  speculative_tokens: 0,
  speculative_acceptance: 0.7,
  speculative_draft_ns: 0,
  eos_share: 0,
} as const satisfies EngineOverrides;

/** The options among an instance's other keys. */
export function engineOverridesOf(entry: EngineOverrides): EngineOverrides {
  const names = Object.keys(engineOverridesSchema.shape) as (keyof EngineOverrides)[];
  return Object.fromEntries(names.map((name) => [name, entry[name]]));
}

/** The engine with everything decided. */
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

type Defaulted = keyof typeof engineDefaults;
type MergedEngine = Omit<EngineOverrides, Defaulted> & {
  [key in Defaulted]: NonNullable<EngineOverrides[key]>;
};

/** One place for precedence: later layers win where they say something. */
export function resolveEngine(
  modelDtype: Dtype,
  ...layers: readonly EngineOverrides[]
): EngineOptions {
  const merged: MergedEngine = { ...engineDefaults };
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value !== undefined) Object.assign(merged, { [key]: value });
    }
  }
  const { dtype = modelDtype, kv_cache_dtype: kvDtype } = merged;
  const { speculative_tokens: drafts } = merged;
  return {
    maxNumSeqs: limitOf(merged.max_num_seqs),
    maxNumBatchedTokens: limitOf(merged.max_num_batched_tokens),
    maxModelLen: merged.max_model_len,
    longPrefillTokenThreshold: merged.long_prefill_token_threshold,
    blockSize: merged.block_size,
    dtype,
    kvCacheDtype: kvDtype === 'auto' ? dtype : kvDtype,
    enableChunkedPrefill: merged.enable_chunked_prefill,
    enablePrefixCaching: merged.enable_prefix_caching,
    reserveFullIsl: merged.reserve_full_isl,
    asyncScheduling: merged.async_scheduling,
    kvBlocks: merged.kv_blocks,
    schedulingPolicy: merged.scheduling_policy,
    batchPadding: merged.batch_padding,
    bucketPaddingGap: merged.bucket_padding_gap,
    speculation:
      drafts === 0
        ? undefined
        : {
            tokens: drafts,
            acceptance: merged.speculative_acceptance,
            draftNs: merged.speculative_draft_ns,
          },
    eosShare: merged.eos_share,
    attentionOffload: merged.enable_attn_offloading,
    subBatchInterleaving: merged.enable_sub_batch_interleaving,
  };
}

/** 0 stands for no limit. */
function limitOf(limit: number): number {
  return limit === 0 ? Number.POSITIVE_INFINITY : limit;
}

/**
 * Without a token budget a step holds the context. A budget above the context stays as it is: vLLM fills
 * it with several prompts. No step holds more requests than tokens.
 */
export function limitEngine(options: EngineOptions, contextTokens: number): EngineOptions {
  const { maxNumBatchedTokens: given } = options;
  const maxNumBatchedTokens = given === Number.POSITIVE_INFINITY ? contextTokens : given;
  const maxNumSeqs = Math.min(options.maxNumSeqs, maxNumBatchedTokens);
  return { ...options, maxNumBatchedTokens, maxNumSeqs };
}
