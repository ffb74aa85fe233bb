/**
 * LLMServingSim 2.0 ("v1") profile bundles: tpN/{dense,per_sequence,attention,moe,skew}.csv with
 * times in us, and meta.yaml beside them. skew_fit.csv is derived from skew.csv and not read.
 */
import { nsPerUs, parseWith, UserError } from '@astrolabe/base';
import type { ProfileInfo, ProfileTableBuilder } from '@astrolabe/profile';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import type { CsvTable } from './csv.js';

const metaSchema = z.looseObject({
  vllm_version: z.coerce.string().optional(),
  cuda_version: z.coerce.string().optional(),
  gpu: z.string().optional(),
  profiler_version: z.coerce.string().optional(),
  profiled_at: z.coerce.string().optional(),
  engine_effective: z
    .looseObject({
      max_num_batched_tokens: z.number().int().positive().optional(),
      max_num_seqs: z.number().int().positive().optional(),
      hf_overrides: z
        .looseObject({ num_key_value_heads: z.number().int().positive().optional() })
        .optional(),
    })
    .optional(),
  tp_degrees: z.array(z.number().int().positive()).optional(),
});

/**
 * FlashAttention 2 splits contexts where requests times KV heads are fewer than 0.8 of what two blocks
 * a processor make; vLLM 0.19 runs it on the cards of these bundles.
 */
const unsplitPerProcessor = 1.6;

/** The tables of one TP degree, in reading order. */
export const v1Tables = ['dense', 'per_sequence', 'attention', 'moe', 'skew'] as const;
export type V1Table = (typeof v1Tables)[number];

const readers: Record<V1Table, (csv: CsvTable, tp: number, into: ProfileTableBuilder) => void> = {
  dense: readDense,
  per_sequence: readPerSequence,
  attention: readAttention,
  moe: readMoe,
  skew: readSkew,
};

/** @throws UserError file, line and reason */
export function readV1Table(
  name: V1Table,
  csv: CsvTable,
  tp: number,
  into: ProfileTableBuilder,
): void {
  readers[name](csv, tp, into);
}

/**
 * @param meta text of meta.yaml, if there is one
 * @param processors of the device, where they are known
 */
export function v1Info(
  names: { readonly hardware: string; readonly model: string; readonly dtype: string },
  meta: string | undefined,
  at: string,
  processors?: number,
): ProfileInfo {
  const value = meta === undefined ? {} : readYaml(meta, at);
  const known = parseWith(metaSchema, value, at);
  const engine = known.engine_effective;
  const info: ProfileInfo = {
    ...names,
    source: `LLMServingSim 2.0 profile bundle (profiled ${known.profiled_at ?? 'at unknown time'})`,
    measurement: 'kernel',
  };
  if (known.vllm_version !== undefined) {
    const cuda = known.cuda_version === undefined ? '' : `, CUDA ${known.cuda_version}`;
    info.engine = `vLLM ${known.vllm_version} eager${cuda}`;
  }
  if (known.gpu !== undefined) info.device = known.gpu;
  if (engine?.max_num_batched_tokens !== undefined) info.maxTokens = engine.max_num_batched_tokens;
  if (engine?.max_num_seqs !== undefined) info.maxSequences = engine.max_num_seqs;
  // The heads written there are those of a rank at the largest degree.
  const heads = engine?.hf_overrides?.num_key_value_heads;
  const degrees = known.tp_degrees ?? [];
  if (heads !== undefined && degrees.length > 0 && processors !== undefined) {
    info.splitsBelow = (unsplitPerProcessor * processors) / (heads * Math.max(...degrees));
  }
  return info;
}

function readYaml(text: string, at: string): unknown {
  try {
    return parseYaml(text, { logLevel: 'error' });
  } catch (error) {
    throw new UserError(`not valid YAML: ${(error as Error).message.split('\n')[0]}`, { at });
  }
}

function readDense(csv: CsvTable, tp: number, into: ProfileTableBuilder): void {
  const layer = csv.column('layer');
  const tokens = csv.column('tokens');
  const time = csv.column('time_us');
  for (let i = 0; i < csv.rows.length; i++) {
    into.add({
      kind: 'dense',
      operator: csv.rows[i][layer],
      tp,
      tokens: csv.count(i, tokens),
      durationNs: csv.durationNs(i, time, nsPerUs),
    });
  }
}

function readPerSequence(csv: CsvTable, tp: number, into: ProfileTableBuilder): void {
  const layer = csv.column('layer');
  const sequences = csv.column('sequences');
  const time = csv.column('time_us');
  for (let i = 0; i < csv.rows.length; i++) {
    into.add({
      kind: 'per_sequence',
      operator: csv.rows[i][layer],
      tp,
      sequences: csv.count(i, sequences),
      durationNs: csv.durationNs(i, time, nsPerUs),
    });
  }
}

function readAttention(csv: CsvTable, tp: number, into: ProfileTableBuilder): void {
  const chunk = csv.column('prefill_chunk');
  const context = csv.column('kv_prefill');
  const decodes = csv.column('n_decode');
  const decodeContext = csv.column('kv_decode');
  const time = csv.column('time_us');
  for (let i = 0; i < csv.rows.length; i++) {
    into.add({
      kind: 'attention',
      operator: 'attention',
      tp,
      tokens: csv.count(i, chunk),
      contextTokens: csv.count(i, context),
      sequences: csv.count(i, decodes),
      decodeContextTokens: csv.count(i, decodeContext),
      durationNs: csv.durationNs(i, time, nsPerUs),
    });
  }
}

function readMoe(csv: CsvTable, tp: number, into: ProfileTableBuilder): void {
  const tokens = csv.column('tokens');
  const activated = csv.column('activated_experts');
  const time = csv.column('time_us');
  for (let i = 0; i < csv.rows.length; i++) {
    into.add({
      kind: 'moe',
      operator: 'moe',
      tp,
      tokens: csv.count(i, tokens),
      activatedExperts: csv.count(i, activated),
      durationNs: csv.durationNs(i, time, nsPerUs),
    });
  }
}

/** Batches of `nb` long and `n - nb` short decodes beside one chunk. */
function readSkew(csv: CsvTable, tp: number, into: ProfileTableBuilder): void {
  const column = (name: string): number => csv.column(name);
  const [n, pc, kp] = [column('n'), column('pc'), column('kp')];
  const [short, long, mean] = [column('kvs'), column('kv_big'), column('kv_mean')];
  const [tMean, tMax, tSkew] = [column('t_mean_us'), column('t_max_us'), column('t_skew_us')];
  for (let i = 0; i < csv.rows.length; i++) {
    into.add({
      kind: 'skew',
      operator: 'attention',
      tp,
      tokens: csv.count(i, pc),
      contextTokens: csv.count(i, kp),
      sequences: csv.count(i, n),
      decodeContextTokens: csv.count(i, mean),
      decodeContextMin: csv.count(i, short),
      decodeContextMax: csv.count(i, long),
      durationNs: csv.durationNs(i, tSkew, nsPerUs),
      meanDurationNs: csv.durationNs(i, tMean, nsPerUs),
      maxDurationNs: csv.durationNs(i, tMax, nsPerUs),
    });
  }
}
