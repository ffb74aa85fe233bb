/**
 * A run measured by AIPerf: `profile_export.jsonl`, one request a line, each metric with its unit.
 * Start times are epoch ns, which JSON numbers hold to a quarter of a microsecond. A client sees neither
 * queue nor scheduler. Ids are those of the workload that `workload convert` makes of the same file:
 * 0, 1, ... over requests that ended well, without the warm-up.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, readNdjson } from '@astrolabe/base/cli';
import { z } from 'zod';
import type { RequestRow, RunData } from '../../run-data.js';

const metric = z.looseObject({ value: z.number().nonnegative(), unit: z.string() });

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
  const rows: RequestRow[] = [];
  let total = 0;
  let zeroNs: number | undefined;
  for await (const { value, line } of readNdjson(openInput(path), path)) {
    const at = `${path}:${line}`;
    const given = parseWith(lineSchema, value, at);
    if (given.metadata.benchmark_phase === 'warmup') continue;
    total++;
    if ((given.error ?? null) !== null || given.metadata.was_cancelled === true) continue;
    zeroNs ??= given.metadata.request_start_ns;
    rows.push(toRow(given, String(rows.length), zeroNs, at));
  }
  if (rows.length === 0) throw new UserError('no requests that ended well', { at: path });
  return {
    source: path,
    rows,
    totalRequests: total,
    notes: ['times are the client\u2019s: it does not say when requests were scheduled'],
  };
}

function toRow({ metadata, metrics }: Line, id: string, zeroNs: number, at: string): RequestRow {
  const arrivalNs = metadata.request_start_ns - zeroNs;
  const ttftNs = timeNs(metrics, 'time_to_first_token', at);
  const latencyNs = timeNs(metrics, 'request_latency', at);
  if (latencyNs < ttftNs) {
    throw new UserError(
      `metrics.request_latency: expected no less than the ${ttftNs} ns to the first token, got ${latencyNs}`,
      { at },
    );
  }
  return {
    id,
    promptTokens: tokens(metrics, ['input_sequence_length', 'input_token_count', 'isl'], at),
    outputTokens: tokens(metrics, ['output_sequence_length', 'output_token_count', 'osl'], at),
    arrivalNs,
    scheduledNs: undefined,
    firstTokenNs: arrivalNs + ttftNs,
    lastTokenNs: arrivalNs + latencyNs,
  };
}

function timeNs(metrics: Line['metrics'], name: string, at: string): number {
  const { value, unit } = parseWith(metric, metrics[name], `${at}: metrics.${name}`);
  const scale = nsPerUnit[unit];
  if (scale !== undefined) return Math.round(value * scale);
  throw new UserError(`expected one of ${Object.keys(nsPerUnit).join(', ')}, got "${unit}"`, {
    at: `${at}: metrics.${name}.unit`,
  });
}

function tokens(metrics: Line['metrics'], names: readonly string[], at: string): number {
  const name = names.find((one) => metrics[one] !== undefined) ?? names[0];
  return parseWith(metric, metrics[name], `${at}: metrics.${name}`).value;
}
