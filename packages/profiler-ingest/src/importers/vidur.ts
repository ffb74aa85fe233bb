/**
 * Vidur's CSV files (times in ms, medians over repetitions) and Frontier's, which add the kind of
 * measurement: CUDA events and kernel times differ several-fold at few tokens and never mix.
 */
import { nsPerMs, UserError } from '@astrolabe/base';
import type { ProfileInfo, ProfileTableBuilder } from '@astrolabe/profile';
import { type CsvAdapter, hasAll, type ImportOptions } from './adapter.js';
import { readAttentionRows } from './attention-rows.js';
import type { CsvTable } from './csv.js';

/** Vidur's operator: ours. The two norms become the mean of both, `add` stays a step of its own. */
const denseNames: Record<string, string> = {
  emb: 'embedding',
  input_layernorm: 'layernorm',
  post_attention_layernorm: 'layernorm',
  attn_pre_proj: 'qkv_proj',
  attn_rope: 'rotary_emb',
  attn_post_proj: 'o_proj',
  mlp_up_proj: 'gate_up_proj',
  mlp_act: 'act_fn',
  mlp_down_proj: 'down_proj',
  add: 'add',
};

const moeParts = [
  'moe_gating',
  'moe_shuffling',
  'moe_grouped_gemm',
  'moe_expert_up_proj',
  'moe_expert_down_proj',
];

function median(csv: CsvTable, operator: string): number {
  return csv.header.indexOf(`time_stats.${operator}.median`);
}

/** @throws UserError rows of both kinds in one file */
function measurementOf(csv: CsvTable): ProfileInfo['measurement'] {
  const column = csv.header.indexOf('measurement_type');
  if (column < 0) return 'cuda_event';
  const first = csv.rows[0][column];
  const other = csv.rows.findIndex((row) => row[column] !== first);
  if (other >= 0) {
    throw new UserError(`measurement_type ${csv.rows[other][column]} after ${first}: never mix`, {
      at: csv.place(other),
      hint: 'split the file by measurement_type',
    });
  }
  return first === 'KERNEL_ONLY' ? 'kernel' : 'cuda_event';
}

function result(csv: CsvTable, what: string, notes: readonly string[] = []) {
  const source = `${csv.header.includes('measurement_type') ? 'Frontier' : 'Vidur'} ${what}`;
  return { measurement: measurementOf(csv), source, notes };
}

export const vidurMlp: CsvAdapter = {
  name: 'Vidur mlp.csv',
  matches: (header) =>
    hasAll(header, ['num_tokens', 'num_tensor_parallel_workers']) &&
    header.some((name) => /^time_stats\.(mlp_up_proj|attn_pre_proj)\.median$/.test(name)),
  read(csv, _options, into) {
    const tokens = csv.column('num_tokens');
    const degree = csv.column('num_tensor_parallel_workers');
    const operators = Object.keys(denseNames).filter((name) => median(csv, name) >= 0);
    const missing = new Set<string>();
    for (let i = 0; i < csv.rows.length; i++) {
      for (const name of operators) {
        const column = median(csv, name);
        if (csv.rows[i][column] === '') {
          missing.add(name);
          continue;
        }
        into.add({
          kind: 'dense',
          operator: denseNames[name],
          tp: csv.count(i, degree),
          tokens: csv.count(i, tokens),
          durationNs: csv.durationNs(i, column, nsPerMs),
        });
      }
    }
    const notes = missing.size === 0 ? [] : [`rows without ${[...missing].join(', ')} left out`];
    return result(csv, 'mlp.csv (lm_head not measured)', notes);
  },
};

export const vidurAttention: CsvAdapter = {
  name: 'Vidur attention.csv',
  matches: (header) =>
    hasAll(header, ['prefill_chunk_size', 'kv_cache_size', 'batch_size', 'is_prefill']),
  read(csv: CsvTable, options: ImportOptions, into: ProfileTableBuilder) {
    const column = csv.header.indexOf('num_tensor_parallel_workers');
    const degrees =
      column < 0 ? [options.tp] : [...new Set(csv.rows.map((_, i) => csv.count(i, column)))];
    for (const tp of degrees) {
      readAttentionRows(csv, tp, into, undefined, { decodeRows: 0, raised: 0 });
    }
    return result(csv, 'attention.csv');
  },
};

/** One row per rank: the collective takes their mean. */
export const vidurNetwork: CsvAdapter = {
  name: 'Vidur all_reduce.csv, send_recv.csv',
  matches: (header) => hasAll(header, ['collective', 'num_workers', 'size', 'devices_per_node']),
  read(csv, _options, into) {
    const columns = ['collective', 'num_workers', 'size', 'devices_per_node'] as const;
    const [collective, workers, size, perNode] = columns.map((name) => csv.column(name));
    const sums = new Map<string, { row: number; ns: number; count: number }>();
    for (let i = 0; i < csv.rows.length; i++) {
      const time = csv.column(`time_stats.${csv.rows[i][collective]}.median`);
      const key = [collective, workers, size, perNode].map((c) => csv.rows[i][c]).join(' ');
      const sum = sums.get(key) ?? { row: i, ns: 0, count: 0 };
      sum.ns += csv.durationNs(i, time, nsPerMs);
      sum.count++;
      sums.set(key, sum);
    }
    for (const { row, ns, count } of sums.values()) {
      into.add({
        kind: 'collective',
        operator: csv.rows[row][collective],
        tp: csv.count(row, workers),
        sequences: csv.count(row, workers),
        sizeBytes: csv.count(row, size),
        devicesPerNode: csv.count(row, perNode),
        durationNs: Math.round(ns / count),
      });
    }
    return result(csv, 'network measurements, mean over ranks of medians');
  },
};

export const frontierMoe: CsvAdapter = {
  name: 'Frontier moe.csv',
  matches: (header) => hasAll(header, ['num_tokens', 'num_experts_per_device', 'router_topk']),
  read(csv, _options, into) {
    const tokens = csv.column('num_tokens');
    const experts = csv.column('num_experts_per_device');
    const top = csv.column('router_topk');
    const degree = csv.column('num_tensor_parallel_workers');
    const parts = moeParts.map((name) => median(csv, name)).filter((column) => column >= 0);
    for (let i = 0; i < csv.rows.length; i++) {
      const measured = parts.filter((column) => csv.rows[i][column] !== '');
      const batch = csv.count(i, tokens);
      into.add({
        kind: 'moe',
        operator: 'moe',
        tp: csv.count(i, degree),
        tokens: batch,
        activatedExperts: Math.min(csv.count(i, experts), batch * csv.count(i, top)),
        durationNs: measured.reduce((sum, c) => sum + csv.durationNs(i, c, nsPerMs), 0),
      });
    }
    return result(csv, 'moe.csv', ['activated experts: as many as the tokens can reach']);
  },
};

/** Host time per batch: kept as measured, for whoever models the host. */
export const vidurCpuOverhead: CsvAdapter = {
  name: 'Vidur cpu_overhead.csv',
  matches: (header) =>
    hasAll(header, ['batch_size', 'tensor_parallel_degree']) &&
    header.some((name) => name.startsWith('schedule_')),
  read(csv, _options, into) {
    const batch = csv.column('batch_size');
    const degree = csv.column('tensor_parallel_degree');
    const steps = csv.header.filter((name) => name.endsWith('_median'));
    for (let i = 0; i < csv.rows.length; i++) {
      for (const name of steps) {
        into.add({
          kind: 'per_sequence',
          operator: `host_${name.replace(/_median$/, '')}`,
          tp: csv.count(i, degree),
          sequences: csv.count(i, batch),
          durationNs: csv.durationNs(i, csv.column(name), nsPerMs),
        });
      }
    }
    return { measurement: 'wall_clock', source: 'Vidur cpu_overhead.csv', notes: [] };
  },
};
