/** Reads the folder of a run into what timelines and pages are drawn from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, readNdjson } from '@astrolabe/base/cli';
import { completionSchema, npuTimesSchema } from '@astrolabe/system-simulator';
import { iterationSchema, transferLane, transferSchema } from '@astrolabe/trace-generator';
import { z } from 'zod';
import type { CounterSeries, RequestSpan, RunRecords, StepSpan } from '../timeline/run-records.js';
import { TrafficCounters } from '../timeline/traffic-counters.js';
import { cell, checkReach, intervalNsOf, readTable, type TableRow } from './read-table.js';
import { resultOf } from './run-folder.js';

/** @throws UserError naming the file that is missing or broken */
export async function readRecords(folder: string): Promise<RunRecords> {
  const path = resultOf(folder, 'requests.csv');
  const requests = readTable(path, ',').map((row) => requestSpan(row, path));
  const batches = await readBatches(folder);
  const steps: StepSpan[] = [];
  const counters = await readCounters(folder, (completion, at) => {
    const found = batches.get(key(completion));
    if (found === undefined) {
      const iterations = join(folder, iterationsFile);
      throw new UserError(`completes no iteration of ${iterations}`, { at });
    }
    steps.push({ ...completion, ...found });
  });
  return { source: folder, requests, steps, counters };
}

/**
 * What a run did over time; holds no step, so that runs of any length are read.
 * @param onCompletion told of each, with its place
 * @throws UserError naming the file that is missing or broken
 */
export async function readCounters(
  folder: string,
  onCompletion?: (completion: CompletionRecord, at: string) => void,
): Promise<CounterSeries[]> {
  const intervals = intervalCounters(folder);
  const intervalNs = intervals[0]?.intervalNs ?? 1e9;
  const traffic = new TrafficCounters(intervalNs);
  const completions = join(folder, 'completions.ndjson');
  for await (const { value, line } of readNdjson(openInput(completions), completions)) {
    const at = `${completions}:${line}`;
    const completion = parseWith(completionRecord, value, at);
    onCompletion?.(completion, at);
    checkReach(intervalNs, completion.finishNs, join(folder, 'intervals.csv'));
    traffic.add(completion);
  }
  return [...intervals, ...powerCounters(folder), ...traffic.series()];
}

function requestSpan(row: TableRow, path: string): RequestSpan | undefined {
  if (row.status !== 'finished') return undefined;
  return {
    id: row.request,
    instance: cell(row, 'instance', path),
    promptTokens: cell(row, 'prompt_tokens', path),
    outputTokens: cell(row, 'output_tokens', path),
    arrivalNs: cell(row, 'arrival_ns', path),
    scheduledNs: cell(row, 'scheduled_ns', path),
    firstTokenNs: cell(row, 'first_token_ns', path),
    finishNs: cell(row, 'finish_ns', path),
    preemptions: cell(row, 'preemptions', path),
    prefixHitTokens: cell(row, 'prefix_hit_tokens', path),
  };
}

/** The fields of an iteration that a picture needs. */
interface Batch {
  readonly requests: readonly number[];
  readonly prefillTokens: number;
  readonly prefillRequests: number;
  readonly decodeRequests: number;
  readonly contextTokens: number;
}

/** The records of serving-loop; other versions may know fields that these do not. */
const iterationRecord = iterationSchema
  .pick({
    instance: true,
    iteration: true,
    lane: true,
    requests: true,
    newTokens: true,
    contextTokens: true,
  })
  .loose()
  .refine(
    ({ newTokens, contextTokens }) => newTokens.length === contextTokens.length,
    'expected newTokens and contextTokens of one length',
  );

/** KV from one instance to another, which stands among the iterations and is answered like one. */
const transferRecord = transferSchema.pick({ transfer: true, request: true, to: true }).loose();

function isTransfer(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'transfer' in value;
}

const completionRecord = completionSchema.extend({ npus: z.array(npuTimesSchema.loose()) }).loose();
type CompletionRecord = z.infer<typeof completionRecord>;

const iterationsFile = 'iterations.ndjson';

async function readBatches(folder: string): Promise<ReadonlyMap<string, Batch>> {
  const batches = new Map<string, Batch>();
  const iterations = join(folder, iterationsFile);
  for await (const { value, line } of readNdjson(openInput(iterations), iterations)) {
    const at = `${iterations}:${line}`;
    if (isTransfer(value)) {
      const { to, transfer, request } = parseWith(transferRecord, value, at);
      const moved = { instance: to, iteration: transfer, lane: transferLane };
      batches.set(key(moved), batch({ requests: [request], newTokens: [], contextTokens: [] }));
      continue;
    }
    const iteration = parseWith(iterationRecord, value, at);
    batches.set(key(iteration), batch(iteration));
  }
  return batches;
}

function key(step: { instance: number; iteration: number; lane?: number | undefined }): string {
  return `${step.instance}/${step.iteration}/${step.lane ?? 0}`;
}

/** One new token on top of a context is decoding; everything else is prefill. */
function batch({
  requests,
  newTokens,
  contextTokens,
}: Pick<z.infer<typeof iterationRecord>, 'requests' | 'newTokens' | 'contextTokens'>): Batch {
  let prefillTokens = 0;
  let prefillRequests = 0;
  let decodeRequests = 0;
  let context = 0;
  for (const [i, tokens] of newTokens.entries()) {
    context += contextTokens[i];
    if (tokens === 1 && contextTokens[i] > 0) decodeRequests++;
    else {
      prefillTokens += tokens;
      prefillRequests++;
    }
  }
  return { requests, prefillTokens, prefillRequests, decodeRequests, contextTokens: context };
}

function intervalCounters(folder: string): CounterSeries[] {
  const path = join(folder, 'intervals.csv');
  if (!existsSync(path)) return [];
  const rows = readTable(path, ',');
  if (rows.length === 0) return [];
  const intervalNs = intervalNsOf(rows, path);
  const series = (name: string, unit: string, column: string, scale: number): CounterSeries => ({
    name,
    unit,
    intervalNs,
    values: rows.map((row) => cell(row, column, path) * scale),
  });
  const perS = 1e9 / intervalNs;
  return [
    series('output throughput', 'tokens/s', 'output_tokens', perS),
    series('prompt throughput', 'tokens/s', 'prompt_tokens', perS),
    series('running', 'requests', 'running', 1),
    series('waiting', 'requests', 'waiting', 1),
    series('KV in use', '%', 'kv_usage', 100),
  ];
}

function powerCounters(folder: string): CounterSeries[] {
  const path = join(folder, 'power.csv');
  if (!existsSync(path)) return [];
  const rows = readTable(path, ',').filter((row) => row.scope === 'system');
  if (rows.length === 0) return [];
  return [
    {
      name: 'power',
      unit: 'W',
      intervalNs: intervalNsOf(rows, path),
      values: rows.map((row) => cell(row, 'power_w', path)),
    },
  ];
}
