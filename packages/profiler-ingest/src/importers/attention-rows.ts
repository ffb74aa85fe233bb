/**
 * Attention tables of Vidur's lineage: prefill and decode measured apart. Two dialects: Vidur's
 * `time_stats.attn_*.median` in ms and the TPU profiler's `p50_ns`. A prefill's `kv_cache_size` counts
 * the chunk itself in the v0 bundles, and does not in the TPU's and wherever a prefill has less than
 * its chunk: Vidur's own profiler begins chunks at 0 cached tokens.
 *
 * Decode rows of GPUs are often faster than memory could deliver the KV cache: the profiler let
 * sequences share blocks, which then sat in the cache. With a memory bandwidth given, such rows are
 * raised to the time of reading the cache once.
 */
import { nsPerMs } from '@astrolabe/base';
import type { ProfileTableBuilder } from '@astrolabe/profile';
import type { CsvTable } from './csv.js';

export interface KvFloor {
  /** Memory bandwidth that attention kernels reach, bytes per ns. */
  readonly bandwidthBytesPerNs: number;
  readonly bytesPerElement: number;
}

export interface FloorCount {
  decodeRows: number;
  raised: number;
}

/** @param tp degree for tables without a column for it */
export function readAttentionRows(
  csv: CsvTable,
  tp: number,
  into: ProfileTableBuilder,
  floor: KvFloor | undefined,
  counts: FloorCount,
): void {
  const inNs = csv.header.includes('p50_ns');
  const prefillTime = csv.column(inNs ? 'p50_ns' : 'time_stats.attn_prefill.median');
  const decodeTime = csv.column(inNs ? 'p50_ns' : 'time_stats.attn_decode.median');
  const isPrefill = csv.column('is_prefill');
  const chunk = csv.column('prefill_chunk_size');
  const cache = csv.column('kv_cache_size');
  const batch = csv.column('batch_size');
  const kvBytes = kvBytesPerToken(csv, floor);
  const countsChunk =
    !inNs &&
    csv.rows.every(
      (row, i) =>
        row[isPrefill].toLowerCase() !== 'true' || csv.count(i, cache) >= csv.count(i, chunk),
    );
  const tpColumn = csv.header.indexOf('num_tensor_parallel_workers');
  const scale = inNs ? 1 : nsPerMs;
  for (let i = 0; i < csv.rows.length; i++) {
    const rowTp = tpColumn < 0 ? tp : csv.count(i, tpColumn);
    if (rowTp !== tp) continue;
    const tokens = csv.count(i, chunk);
    const cached = csv.count(i, cache);
    const sequences = csv.count(i, batch);
    if (csv.rows[i][isPrefill].toLowerCase() === 'true') {
      // Several prompts at once have no place in a table of one chunk.
      if (sequences !== 1) continue;
      const contextTokens = countsChunk ? cached - tokens : cached;
      const durationNs = csv.durationNs(i, prefillTime, scale);
      into.add({ ...attention, tp, tokens, contextTokens, durationNs });
      continue;
    }
    const measuredNs = csv.durationNs(i, decodeTime, scale);
    const leastNs =
      floor === undefined
        ? 0
        : Math.ceil((sequences * cached * kvBytes) / floor.bandwidthBytesPerNs);
    counts.decodeRows++;
    if (leastNs > measuredNs) counts.raised++;
    const durationNs = Math.max(measuredNs, leastNs);
    into.add({ ...attention, tp, sequences, decodeContextTokens: cached, durationNs });
  }
}

/** A row without tokens, sequences or contexts. */
const attention = {
  kind: 'attention',
  operator: 'attention',
  tokens: 0,
  contextTokens: 0,
  sequences: 0,
  decodeContextTokens: 0,
} as const;

/** K and V of one token on one rank and layer, from the model columns; 0 without them. */
function kvBytesPerToken(csv: CsvTable, floor: KvFloor | undefined): number {
  const columns = ['n_embd', 'n_q_head', 'n_kv_head', 'num_tensor_parallel_workers'];
  if (floor === undefined || !columns.every((name) => csv.header.includes(name))) return 0;
  const [width, heads, kvHeads, tp] = columns.map((name) => csv.number(0, csv.column(name)));
  const headsPerRank = Math.max(1, Math.floor(kvHeads / tp));
  return 2 * headsPerRank * (width / heads) * floor.bytesPerElement;
}
