/**
 * A run measured by AIPerf: `profile_export.jsonl`, one request a line, each metric with its unit.
 * Start times are epoch ns, which JSON numbers hold to a quarter of a microsecond. A client sees neither
 * queue nor scheduler. Ids are those of the workload that `workload convert` makes of the same file:
 * 0, 1, ... in order of start (lines come as requests end) over requests that ended well and have
 * tokens, without the warm-up.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, readNdjson } from '@astrolabe/base/cli';
import { z } from 'zod';
import type { RequestRow, RunData } from '../../run-data.js';

const timeSchema = z.looseObject({ value: z.number().nonnegative(), unit: z.string() });
const tokensSchema = z.looseObject({ value: z.number().int().nonnegative() });

const lineSchema = z.looseObject({
  metadata: z.looseObject({
    request_start_ns: z.number().nonnegative(),
    benchmark_phase: z.string().nullish(),
    was_cancelled: z.boolean().nullish(),
  }),
  metrics: z.record(z.string(), z.unknown()),
  error: z.unknown().optional(),
});
type Line = z.infer<typeof lineSchema>;

const nsPerUnit: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, sec: 1e9 };

/** @throws UserError with file and line */
export async function readAiperf(path: string): Promise<RunData> {
  const sent: Sent[] = [];
  let total = 0;
  for await (const { value, line } of readNdjson(openInput(path), path)) {
    const at = `${path}:${line}`;
    const given = parseWith(lineSchema, value, at);
    if (given.metadata.benchmark_phase === 'warmup') continue;
    total++;
    if ((given.error ?? null) !== null || given.metadata.was_cancelled === true) continue;
    sent.push(...sentOf(given, at));
  }
  if (sent.length === 0) {
    throw new UserError('no requests that ended well and have tokens', { at: path });
  }
  sent.sort((a, b) => a.startNs - b.startNs);
  const zeroNs = sent[0].startNs;
  return {
    source: path,
    rows: sent.map((one, id) => toRow(one, String(id), one.startNs - zeroNs)),
    totalRequests: total,
    notes: ["times are the client's: it does not say when requests were scheduled"],
  };
}

interface Sent {
  readonly startNs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly ttftNs: number;
  readonly latencyNs: number;
}

/** Empty for a request without tokens, which has no times either. */
function sentOf({ metadata, metrics }: Line, at: string): Sent[] {
  const promptTokens = tokens(metrics, ['input_sequence_length', 'input_token_count', 'isl'], at);
  const outputTokens = tokens(metrics, ['output_sequence_length', 'output_token_count', 'osl'], at);
  if (promptTokens === 0 || outputTokens === 0) return [];
  const ttftNs = timeNs(metrics, 'time_to_first_token', at);
  const latencyNs = timeNs(metrics, 'request_latency', at);
  if (latencyNs < ttftNs) {
    throw new UserError(
      `metrics.request_latency: expected no less than the ${ttftNs} ns to the first token, got ${latencyNs}`,
      { at },
    );
  }
  const { request_start_ns: startNs } = metadata;
  return [{ startNs, promptTokens, outputTokens, ttftNs, latencyNs }];
}

function toRow(
  { promptTokens, outputTokens, ttftNs, latencyNs }: Sent,
  id: string,
  arrivalNs: number,
): RequestRow {
  return {
    id,
    promptTokens,
    outputTokens,
    arrivalNs,
    scheduledNs: undefined,
    firstTokenNs: arrivalNs + ttftNs,
    lastTokenNs: arrivalNs + latencyNs,
  };
}

function timeNs(metrics: Line['metrics'], name: string, at: string): number {
  const { value, unit } = parseWith(timeSchema, metrics[name], `${at}: metrics.${name}`);
  const scale = nsPerUnit[unit];
  if (scale !== undefined) return Math.round(value * scale);
  throw new UserError(`expected one of ${Object.keys(nsPerUnit).join(', ')}, got "${unit}"`, {
    at: `${at}: metrics.${name}.unit`,
  });
}

function tokens(metrics: Line['metrics'], names: readonly string[], at: string): number {
  const name = names.find((one) => metrics[one] !== undefined) ?? names[0];
  return parseWith(tokensSchema, metrics[name], `${at}: metrics.${name}`).value;
}
