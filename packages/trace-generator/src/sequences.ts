/**
 * Decoder-only transformers as data: which operators an iteration consists of, in order, under the
 * names profiles use. Two ways to name them: `fused` (vLLM's kernels, LLMServingSim v1 profiles) and
 * `unfused` (LLMServingSim v0 profiles). What differs between families is a property of the model
 * (`when`), so a family needs no code here.
 */
import { isMoeLayer, type ModelShape } from '@astrolabe/config';

/** What an operator's time depends on. */
type OperatorKey = 'tokens' | 'sequences' | 'attention' | 'moe' | 'expert';

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
  readonly when?: keyof typeof conditions;
  /** Some profiles measured it inside a neighbour: its absence is not an error. */
  readonly optional?: boolean;
}

const conditions = {
  qkNorm: (model: ModelShape) => model.qkNorm,
  compressedQuery: (model: ModelShape) => model.mla?.queryRank !== undefined,
  sharedExperts: (model: ModelShape) => model.moe?.sharedIntermediateSize !== undefined,
  sandwichNorms: (model: ModelShape) => model.sandwichNorms !== undefined,
} as const;

interface Naming {
  readonly embedding: readonly Operator[];
  readonly attention: readonly Operator[];
  /** Multi-head latent attention (DeepSeek). */
  readonly latentAttention: readonly Operator[];
  readonly dense: readonly Operator[];
  readonly moe: readonly Operator[];
  readonly head: readonly Operator[];
}

/** Experts that every token passes, computed on a rank's own tokens before any are exchanged. */
const shared: readonly Operator[] = [
  { name: 'shared_gate_up_proj', when: 'sharedExperts' },
  { name: 'shared_act_fn', when: 'sharedExperts' },
  { name: 'shared_down_proj', when: 'sharedExperts' },
];

/**
 * `qkv_a_proj` projects to the latent and to the compressed query (or the query itself), `kv_b_proj`
 * expands the latent to keys and values, or is absorbed into query and output in decode: the same
 * weights either way.
 */
const latentAttention: readonly Operator[] = [
  { name: 'input_layernorm', profile: 'layernorm' },
  { name: 'qkv_a_proj' },
  { name: 'latent_norm' },
  { name: 'q_b_proj', when: 'compressedQuery' },
  { name: 'rotary_emb', optional: true },
  { name: 'kv_b_proj' },
  { name: 'attention', key: 'attention' },
  { name: 'o_proj', after: 'allReduce' },
  { name: 'post_layernorm', profile: 'layernorm' },
];

const embedding: readonly Operator[] = [{ name: 'embedding', after: 'embeddingAllReduce' }];

const namings: Record<'fused' | 'unfused', Naming> = {
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
      { name: 'post_attention_layernorm', profile: 'layernorm', when: 'sandwichNorms' },
      { name: 'post_layernorm', profile: 'layernorm' },
    ],
    dense: [
      { name: 'gate_up_proj' },
      { name: 'act_fn' },
      { name: 'down_proj', after: 'allReduce' },
      { name: 'post_feedforward_layernorm', profile: 'layernorm', when: 'sandwichNorms' },
    ],
    latentAttention,
    moe: [...shared, { name: 'moe', key: 'moe' }],
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
    latentAttention,
    moe: [
      ...shared,
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
  /** Feed-forward blocks without and with experts; empty where the model has none of them. */
  readonly dense: readonly Operator[];
  readonly moe: readonly Operator[];
}

export function sequenceOf(model: ModelShape, naming: keyof typeof namings): Sequence {
  const parts = namings[naming];
  const layers = Array.from({ length: model.numLayers }, (_, layer) => isMoeLayer(model, layer));
  const present = (operators: readonly Operator[]): Operator[] =>
    operators.filter(({ when }) => when === undefined || conditions[when](model));
  return {
    embedding: parts.embedding,
    attention: present(model.mla === undefined ? parts.attention : parts.latentAttention),
    dense: layers.includes(false) ? present(parts.dense) : [],
    moe: layers.includes(true) ? present(parts.moe) : [],
    head: parts.head,
  };
}

export function profileName(operator: Operator): string {
  return operator.profile ?? operator.name;
}
