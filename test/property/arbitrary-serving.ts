/** Random clusters and workloads, small enough that a run takes milliseconds. */
import { type Cluster, parseModel, resolveCluster, type SizeTable } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { LatencyModel } from '@astrolabe/profile';
import type { Request } from '@astrolabe/workload';
import fc from 'fast-check';

const dense = {
  ...tinyModel,
  num_hidden_layers: 5,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
};

const experts = {
  ...dense,
  model_type: 'mixtral',
  num_local_experts: 8,
  num_experts_per_tok: 2,
};

const sharing = {
  ...experts,
  model_type: 'qwen2_moe',
  num_experts: 8,
  moe_intermediate_size: 32,
  shared_expert_intermediate_size: 64,
};

const windowed = { ...dense, sliding_window: 24 };

const shapes: Record<string, object> = { dense, windowed, experts, sharing };

const engine = fc.record({
  max_num_seqs: fc.constantFrom(1, 2, 5, 16),
  max_num_batched_tokens: fc.constantFrom(8, 32, 128),
  long_prefill_token_threshold: fc.constantFrom(0, 0, 6),
  block_size: fc.constantFrom(4, 16),
  kv_blocks: fc.integer({ min: 3, max: 60 }),
  enable_chunked_prefill: fc.constantFrom(true, true, true, false),
  enable_prefix_caching: fc.boolean(),
  reserve_full_isl: fc.boolean(),
  async_scheduling: fc.boolean(),
  scheduling_policy: fc.constantFrom('fcfs', 'fcfs', 'priority'),
  speculative_tokens: fc.constantFrom(0, 0, 0, 2),
  speculative_acceptance: fc.constant(0.6),
  eos_share: fc.constantFrom(0, 0, 0.5),
});

const degrees = fc.record({ tp_size: fc.constantFrom(1, 2, 4), pp_size: fc.constantFrom(1, 2, 3) });

/** A prefill and a decode side share the block size, as the connectors demand. */
function disaggregated(): fc.Arbitrary<object[]> {
  const side = (role: string): fc.Arbitrary<object[]> =>
    fc.array(
      fc.tuple(engine, degrees).map(([limits, degree]) => ({
        pd_type: role,
        ...limits,
        ...degree,
      })),
      { minLength: 1, maxLength: 2 },
    );
  return fc
    .tuple(side('prefill'), side('decode'), fc.constantFrom(4, 16))
    .map(([prefill, decode, blockSize]) =>
      [...prefill, ...decode].map((entry) => ({ ...entry, block_size: blockSize })),
    );
}

function colocated(): fc.Arbitrary<object[]> {
  return fc.array(
    fc.tuple(engine, degrees).map(([limits, degree]) => ({ ...limits, ...degree })),
    { minLength: 1, maxLength: 3 },
  );
}

/** Hot experts that move to other ranks, one replica more on each. */
function balancedExperts(ranks: number): object {
  return { routing: 'zipf', eplb: { num_redundant_experts: ranks, step_interval: 12 } };
}

/** Ranks that share experts: alike but for nothing. */
function waves(): fc.Arbitrary<object[]> {
  return fc
    .tuple(
      ...([engine, fc.constantFrom(1, 2), fc.constantFrom(1, 2), fc.constantFrom(2, 4)] as const),
      fc.constantFrom('experts', 'sharing'),
      fc.boolean(),
    )
    .map(([limits, tp, pp, ranks, model_name, balanced]) =>
      Array.from({ length: ranks }, () => ({
        ...limits,
        model_name,
        tp_size: tp,
        pp_size: pp,
        ep_size: tp * ranks,
        dp_group: 'A',
        ...(balanced ? { experts: balancedExperts(tp * ranks) } : {}),
      })),
    )
    .filter((entries) => entries.length * (entries[0] as { tp_size: number }).tp_size <= 8);
}

export interface ServingCase {
  /** The cluster file. */
  readonly file: {
    readonly link_bw: number;
    readonly topology?: object;
    readonly nodes: { readonly instances: object[] }[];
  };
  readonly requests: readonly Request[];
  readonly routing:
    | 'round-robin'
    | 'random'
    | 'least-loaded'
    | 'shortest-queue'
    | 'prefix-aware'
    | 'session-affine'
    | 'weighted';
  readonly seed: number;
  /** Whether host work takes time. */
  readonly host: boolean;
}

/** Deepest draft of any instance; then positions beyond the answer are computed, and dropped. */
export const mostDrafts = 2;

const topology = fc.record({
  nvlink: fc.record({
    domain_size: fc.constantFrom(1, 2, 4),
    bw: fc.constant(100),
    spans_nodes: fc.boolean(),
  }),
  pcie: fc.record({ bw: fc.constantFrom(0.1, 10), latency: fc.constantFrom(0, 1000) }),
  nic: fc.record({ per_node: fc.constant(1), bw: fc.constantFrom(0.05, 5), rails: fc.boolean() }),
  congestion: fc.constantFrom('aware', 'unaware'),
});

const clusterFile = fc
  .record({
    link_bw: fc.constantFrom(0.01, 1, 16),
    link_latency: fc.constantFrom(0, 1000, 20_000),
    instances: fc.oneof(colocated(), disaggregated(), waves()),
    topology: fc.option(topology),
    kv_tiers: fc.constantFrom(
      [],
      [],
      [{ tier: 'host', chunk_tokens: 16 }],
      [{ tier: 'host', chunk_tokens: 16, shared: true, load: 'blocking' }],
    ),
    nodePerInstance: fc.boolean(),
    model: fc.constantFrom('dense', 'dense', 'windowed'),
    kv_transfer: fc.record({
      initiate: fc.constantFrom('pull', 'push'),
      granularity: fc.constantFrom('whole', 'layer'),
      first_token: fc.constantFrom('decode', 'prefill'),
      handshake_ns: fc.constantFrom(0, 5000),
    }),
  })
  .map(({ instances, topology, nodePerInstance, model, ...links }) => {
    const entries = instances.map((entry) => ({
      model_name: model,
      hardware: 'example',
      npu_mem: { mem_size: 24, mem_bw: 1000 },
      ...entry,
    }));
    const nodes = nodePerInstance ? entries.map((entry) => [entry]) : [entries];
    return {
      ...links,
      ...(topology === null ? {} : { topology }),
      nodes: nodes.map((node) => ({
        cpu_mem: { mem_size: 64, mem_bw: 100 },
        instances: node as object[],
      })),
    };
  });

const requests: fc.Arbitrary<Request[]> = fc
  .array(
    fc.record({
      gapNs: fc.constantFrom(0, 0, 1000, 50_000, 1_000_000),
      promptTokens: fc.integer({ min: 1, max: 60 }),
      outputTokens: fc.integer({ min: 1, max: 12 }),
      priority: fc.constantFrom(0, 0, 1),
      parent: fc.option(fc.nat(), { freq: 2 }),
      shared: fc.integer({ min: 1, max: 60 }),
      follows: fc.boolean(),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((entries) => {
    let arrivalNs = 0;
    return entries.map(({ gapNs, parent, shared, follows, ...lengths }, id): Request => {
      arrivalNs += gapNs;
      const request: Request = { id, arrivalNs, ...lengths };
      if (parent === null || id === 0) return request;
      const of = parent % id;
      const whole = entries[of].promptTokens + entries[of].outputTokens;
      request.prefix = { of, tokens: Math.min(shared, whole, lengths.promptTokens) };
      if (follows) Object.assign(request, { after: [of], thinkNs: 1000 });
      return request;
    });
  });

export const servingCase: fc.Arbitrary<ServingCase> = fc.record({
  file: clusterFile,
  requests,
  routing: fc.constantFrom(
    'round-robin',
    'random',
    'least-loaded',
    'shortest-queue',
    'prefix-aware',
    'session-affine',
    'weighted',
  ),
  seed: fc.nat(1000),
  host: fc.boolean(),
});

/** @param links what every file of measured links holds */
export function clusterOf(file: object, links?: SizeTable): Cluster {
  return resolveCluster(file, 'case', {
    findModel: (name) => parseModel(name, shapes[name], 'case'),
    ...(links === undefined ? {} : { readSizeTable: () => links }),
  });
}

const operators = new Set([
  'embedding',
  'layernorm',
  'qkv_proj',
  'rotary_emb',
  'attention',
  'o_proj',
  'gate_up_proj',
  'act_fn',
  'down_proj',
  'moe',
  'shared_gate_up_proj',
  'shared_act_fn',
  'shared_down_proj',
  'final_layernorm',
  'lm_head',
  'sampler',
]);

/** Plain formulas: 10 ns a token and operator, 100 ns a row of the head, 1 ns a context token. */
export const formulas: LatencyModel = {
  hardware: 'example',
  model: 'example',
  dtype: 'bfloat16',
  source: 'formulas',
  tpDegrees: [1, 2, 4],
  counters: { exact: 0, interpolated: 0, extrapolated: 0 },
  has: (operator) => operators.has(operator),
  denseNs: (_, tp, tokens) => Math.ceil((10 * tokens) / tp),
  perSequenceNs: (_, tp, sequences) => Math.ceil((100 * sequences) / tp),
  attentionNs: (tp, batch) => {
    let work = batch.decodeContextSum;
    for (let i = 0; i < batch.prefillCount; i++) {
      work += batch.prefillNewTokens[i] + batch.prefillContextTokens[i];
    }
    return Math.max(1, Math.ceil(work / tp));
  },
  moeNs: (_, tokens, activatedExperts) => Math.round(7 * tokens + 1000 * activatedExperts),
};
