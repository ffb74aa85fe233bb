/** `workload servegen`: requests sampled from ServeGen client models. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith, UserError } from '@astrolabe/base';
import { nonNegativeInteger, positiveNumber, readJson, readText } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { CsvError, parse } from 'csv-parse/sync';
import { z } from 'zod';
import {
  type ArrivalWindow,
  type LengthWindow,
  parseHistogram,
  type ServeGenClient,
  serveGenRequests,
} from '../generate/servegen.js';
import { withLineOutput } from './line-output.js';

interface Flags {
  start: number;
  duration: number;
  rateFactor: number;
  seed: number;
  output: string;
}

export function addServeGen(program: Command): void {
  program
    .command('servegen')
    .description('sample requests from ServeGen client models (chunk-N-trace.csv, -dataset.json)')
    .argument('<input...>', 'folders, or chunk-N-trace.csv files')
    .option('--start <s>', 'start within the model, s', nonNegativeInteger, 0)
    .option('--duration <s>', 'length, s', positiveNumber, 600)
    .option('--rate-factor <factor>', 'multiplies every rate', positiveNumber, 1)
    .option('--seed <n>', 'seed of everything random', nonNegativeInteger, 42)
    .option('-o, --output <file>', 'where to write; - is stdout', '-')
    .action(run);
}

async function run(inputs: string[], flags: Flags): Promise<void> {
  const clients = inputs.flatMap(tracesOf).map(readClient);
  const requests = serveGenRequests(clients, {
    startS: flags.start,
    durationS: flags.duration,
    rateFactor: flags.rateFactor,
    seed: flags.seed,
  });
  if (requests.length === 0) {
    throw new UserError('no requests in this part of the model', {
      hint: 'see --start, --duration and --rate-factor',
    });
  }
  await withLineOutput(flags.output, async (line) => {
    for (const request of requests) {
      if (!(await line(JSON.stringify(request)))) return;
    }
  });
}

const suffix = /-trace\.csv(\.gz)?$/;

function tracesOf(input: string): string[] {
  if (!existsSync(input)) throw new UserError('no such file or folder', { at: input });
  if (!statSync(input).isDirectory()) return [input];
  const names = readdirSync(input).filter((name) => suffix.test(name));
  if (names.length === 0) throw new UserError('no chunk-N-trace.csv in this folder', { at: input });
  const order = (name: string): number => Number(/\d+/.exec(name)?.[0] ?? 0);
  return names.sort((a, b) => order(a) - order(b)).map((name) => join(input, name));
}

function readClient(path: string): ServeGenClient {
  const dataset = path.replace(suffix, '-dataset.json$1');
  if (dataset === path) throw new UserError('expected a file named ...-trace.csv', { at: path });
  const rows = rowsOf(path);
  const arrivals = rows.map((row, i) => arrivalWindow(row, `${path}:${i + 1}`));
  if (arrivals.length === 0) throw new UserError('no windows', { at: path });
  return { name: path.replace(/^.*\//, ''), arrivals, lengths: lengthWindows(dataset) };
}

function rowsOf(path: string): string[][] {
  try {
    return parse(readText(path), { trim: true, skip_empty_lines: true, relax_column_count: true });
  } catch (error) {
    if (error instanceof CsvError) throw new UserError(error.message, { at: path });
    throw error;
  }
}

/** Of gaps, relative to their mean. */
const mostBursty = 1000;

function arrivalWindow(row: readonly string[], at: string): ArrivalWindow {
  const [startS, ratePerS, gapCv] = row.slice(0, 3).map(Number);
  const pattern = row[3] ?? '';
  const known = pattern === 'Gamma' || pattern === 'Weibull' || pattern === '';
  const isRate = ratePerS >= 0 && ratePerS < Number.POSITIVE_INFINITY;
  if (!Number.isFinite(startS) || !isRate || !known) {
    throw new UserError('expected timestamp, rate, cv, pattern, arg1, arg2 without a header', {
      at,
    });
  }
  if (gapCv < 0 || gapCv > mostBursty) {
    throw new UserError(`cv: expected a number of 0 to ${mostBursty}, got ${gapCv}`, { at });
  }
  return { startS, ratePerS, gapCv: Number.isFinite(gapCv) ? gapCv : 1, pattern };
}

const windowsSchema = z.record(
  z.string(),
  z.looseObject({ input_tokens: z.string(), output_tokens: z.string() }),
);

function lengthWindows(path: string): LengthWindow[] {
  const document = parseWith(windowsSchema, readJson(path), path);
  const windows = Object.entries(document).map(([start, fields]) => {
    const at = `${path}: ${start}`;
    if (!Number.isFinite(Number(start))) throw new UserError('expected a time in s', { at });
    return {
      startS: Number(start),
      prompt: parseHistogram(fields.input_tokens, `${at}.input_tokens`),
      output: parseHistogram(fields.output_tokens, `${at}.output_tokens`),
    };
  });
  if (windows.length === 0) throw new UserError('no windows', { at: path });
  return windows.sort((a, b) => a.startS - b.startS);
}
