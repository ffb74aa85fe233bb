/**
 * Decoder-only transformers as data: which operators an iteration consists of, in order, under the
 * names profiles use. Two ways to name them: `fused` (vLLM's kernels, LLMServingSim v1 profiles) and
 * `unfused` (LLMServingSim v0 profiles). What differs between families is a property of the model
 * (`when`), so a family needs no code here.
 */
import type { ModelShape } from '@astrolabe/config';

/** What an operator's time depends on. */
export type OperatorKey = 'tokens' | 'sequences' | 'attention' | 'moe' | 'expert';

export interface Operator {
  /** Of the node, behind `layer<i>.`. */
  readonly name: string;
  /** In the profile; `name` unless given. */
  readonly profile?: string;
  /** Tokens unless given. */
  readonly key?: OperatorKey;
  /** Its output is a partial sum or a shard over the TP ranks. */
  readonly after?: 'allReduce' | 'embeddingAllReduce' | 'logitsGather';
  /** Only in models that have this. */
  readonly when?: 'qkNorm';
  /** Some profiles measured it inside a neighbour: its absence is not an error. */
  readonly optional?: boolean;
}

interface Naming {
  readonly embedding: readonly Operator[];
  readonly attention: readonly Operator[];
  readonly dense: readonly Operator[];
  readonly moe: readonly Operator[];
  readonly head: readonly Operator[];
}

const embedding: readonly Operator[] = [{ name: 'embedding', after: 'embeddingAllReduce' }];

export const namings: Record<'fused' | 'unfused', Naming> = {
  fused: {
    embedding,
    attention: [
      { name: 'input_layernorm', profile: 'layernorm' },
      { name: 'qkv_proj' },
      { name: 'qk_norm', when: 'qkNorm' },
      // Profiles of TPUs measured the rotation inside the projection.
      { name: 'rotary_emb', optional: true },
      { name: 'attention', key: 'attention' },
      { name: 'o_proj', after: 'allReduce' },
      { name: 'post_layernorm', profile: 'layernorm' },
    ],
    dense: [
      { name: 'gate_up_proj' },
      { name: 'act_fn' },
      { name: 'down_proj', after: 'allReduce' },
    ],
    moe: [{ name: 'moe', key: 'moe' }],
    head: [
      { name: 'final_layernorm' },
      { name: 'lm_head', key: 'sequences', after: 'logitsGather' },
      { name: 'sampler', key: 'sequences', optional: true },
    ],
  },
  unfused: {
    embedding,
    attention: [
      { name: 'input_layernorm' },
      { name: 'q_proj' },
      { name: 'k_proj', optional: true },
      { name: 'v_proj', optional: true },
      { name: 'qk_norm', when: 'qkNorm' },
      { name: 'rope' },
      { name: 'attn', profile: 'attention', key: 'attention' },
      { name: 'o_proj', after: 'allReduce' },
      { name: 'post_layernorm' },
    ],
    dense: [
      { name: 'gate_proj' },
      { name: 'up_proj' },
      { name: 'act_fn', optional: true },
      { name: 'down_proj', after: 'allReduce' },
    ],
    moe: [
      { name: 'gate' },
      { name: 'expert.w1', key: 'expert' },
      { name: 'expert.w3', key: 'expert' },
      { name: 'expert.w2', key: 'expert' },
    ],
    head: [
      { name: 'final_layernorm' },
      { name: 'lm_head', key: 'sequences', after: 'logitsGather' },
      { name: 'sampler', key: 'sequences', optional: true },
    ],
  },
};

/** The operators of one model, conditions resolved. */
export interface Sequence {
  readonly embedding: readonly Operator[];
  readonly head: readonly Operator[];
  readonly attention: readonly Operator[];
  readonly feedForward: readonly Operator[];
  /** The feed-forward block is a mixture of experts. */
  readonly moe: boolean;
}

export function sequenceOf(model: ModelShape, naming: keyof typeof namings): Sequence {
  const parts = namings[naming];
  const moe = model.moe !== undefined;
  return {
    embedding: parts.embedding,
    attention: parts.attention.filter(({ when }) => when === undefined || model[when]),
    feedForward: moe ? parts.moe : parts.dense,
    head: parts.head,
    moe,
  };
}

export function profileName(operator: Operator): string {
  return operator.profile ?? operator.name;
}
