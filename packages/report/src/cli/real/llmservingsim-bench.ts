/**
 * A run measured by LLMServingSim's vLLM bench: a folder with `requests.jsonl`, and `timeseries.csv` and
 * `meta.json` where present. `arrival_time` is epoch seconds, the `_ts` are monotonic seconds: arrivals
 * are mapped with the smallest queued - arrival of the run.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { nsPerS, parseWith, UserError } from '@astrolabe/base';
import { openInput, readJson, readNdjson } from '@astrolabe/base/cli';
import { z } from 'zod';
import type { RequestRow, RunData, Series } from '../../run-data.js';
import { cell, readTable } from '../read-table.js';

/** Epoch or monotonic; a larger number is in ms or ns. */
const seconds = z.number().nonnegative().max(1e11);

const benchRowSchema = z.looseObject({
  request_id: z.union([z.string(), z.number()]),
  input_toks: z.number().int().positive(),
  output_toks: z.number().int().positive(),
  arrival_time: seconds,
  queued_ts: seconds.nullable(),
  scheduled_ts: seconds.nullable(),
  first_token_ts: seconds.nullable(),
  last_token_ts: seconds.nullable(),
});
type BenchRow = z.infer<typeof benchRowSchema>;

/** @throws UserError with file and line */
export async function readBenchFolder(folder: string): Promise<RunData> {
  const path = join(folder, 'requests.jsonl');
  const rows: BenchRow[] = [];
  const seen = new Set<string>();
  for await (const { value, line } of readNdjson(openInput(path), path)) {
    const row = parseWith(benchRowSchema, value, `${path}:${line}`);
    checkOrder(row, `${path}:${line}`);
    if (seen.has(String(row.request_id))) {
      throw new UserError(`request_id ${row.request_id} occurs twice`, { at: `${path}:${line}` });
    }
    seen.add(String(row.request_id));
    rows.push(row);
  }
  if (rows.length === 0) throw new UserError('no requests', { at: path });
  const { toNs, note } = clock(rows, path);
  const seriesPath = join(folder, 'timeseries.csv');
  const metaPath = join(folder, 'meta.json');
  return {
    source: folder,
    rows: rows.flatMap((row) => toRow(row, toNs)),
    totalRequests: rows.length,
    series: existsSync(seriesPath) ? readTimeseries(seriesPath) : undefined,
    kvBlocks: existsSync(metaPath) ? kvBlocks(metaPath) : undefined,
    notes: [note],
  };
}

const inOrder = ['queued_ts', 'scheduled_ts', 'first_token_ts', 'last_token_ts'] as const;

/** A time before the one it follows would give negative latencies. */
function checkOrder(row: BenchRow, at: string): void {
  let before: (typeof inOrder)[number] | undefined;
  for (const name of inOrder) {
    const timeS = row[name];
    if (timeS === null) continue;
    const beforeS = before === undefined ? null : row[before];
    if (beforeS !== null && timeS < beforeS) {
      throw new UserError(`${name}: expected no less than ${before} ${beforeS}, got ${timeS}`, {
        at,
      });
    }
    before = name;
  }
}

interface Clock {
  readonly toNs: { readonly epoch: (s: number) => number; readonly engine: (s: number) => number };
  readonly note: string;
}

function clock(rows: readonly BenchRow[], path: string): Clock {
  let offsetS = Infinity;
  let zeroS = Infinity;
  for (const row of rows) {
    zeroS = Math.min(zeroS, row.arrival_time);
    if (row.queued_ts !== null) offsetS = Math.min(offsetS, row.queued_ts - row.arrival_time);
  }
  if (offsetS === Infinity) throw new UserError('no request was ever queued', { at: path });
  const engineZeroS = zeroS + offsetS;
  return {
    toNs: {
      epoch: (s) => Math.round((s - zeroS) * nsPerS),
      engine: (s) => Math.round((s - engineZeroS) * nsPerS),
    },
    note:
      'arrivals are mapped to the engine clock with the smallest queued - arrival of the run, ' +
      `${offsetS.toFixed(6)} s`,
  };
}

function toRow(row: BenchRow, toNs: Clock['toNs']): RequestRow[] {
  if (row.first_token_ts === null || row.last_token_ts === null) return [];
  return [
    {
      id: String(row.request_id),
      promptTokens: row.input_toks,
      outputTokens: row.output_toks,
      arrivalNs: toNs.epoch(row.arrival_time),
      queuedNs: row.queued_ts === null ? undefined : toNs.engine(row.queued_ts),
      scheduledNs: row.scheduled_ts === null ? undefined : toNs.engine(row.scheduled_ts),
      firstTokenNs: toNs.engine(row.first_token_ts),
      lastTokenNs: toNs.engine(row.last_token_ts),
    },
  ];
}

/** Rows carry the end of their interval in s and rates in tokens/s. */
function readTimeseries(path: string): Series {
  const rows = readTable(path, ',');
  const times = rows.map((row) => cell(row, 't', path));
  const intervalS = times.length > 1 ? times[1] - times[0] : times[0];
  return {
    intervalNs: Math.round(intervalS * nsPerS),
    promptTokens: rows.map((row) => cell(row, 'prompt_throughput', path) * intervalS),
    outputTokens: rows.map((row) => cell(row, 'gen_throughput', path) * intervalS),
  };
}

function kvBlocks(path: string): number | undefined {
  const schema = z.looseObject({
    kv_cache: z.looseObject({ num_gpu_blocks: z.number().nullish() }).nullish(),
  });
  return parseWith(schema, readJson(path), path).kv_cache?.num_gpu_blocks ?? undefined;
}
