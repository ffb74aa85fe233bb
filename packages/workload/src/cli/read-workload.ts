/**
 * Workloads from files, `.gz` files or stdin (`-`): the format is found from the first record, every
 * request is checked as it passes, errors name file and line.
 */
import { Readable } from 'node:stream';
import { UserError } from '@astrolabe/base';
import { fileError, openInput, parseJsonLine, readLines } from '@astrolabe/base/cli';
import { CsvError, parse } from 'csv-parse';
import {
  formatByName,
  ignoredKeys,
  type ReadOptions,
  type Row,
  sniffFormat,
  type WorkloadFormat,
} from '../formats/index.js';
import type { Request } from '../request.js';
import { RequestChecker } from '../request-checker.js';

export interface ReadWorkloadOptions extends ReadOptions {
  /** Name of the format; found from the first record when absent. */
  readonly format?: string | undefined;
  /** Told once: the format and the keys that are not read. */
  readonly onFormat?: (format: WorkloadFormat, ignored: readonly string[]) => void;
}

export interface PlacedRequest {
  readonly request: Request;
  /** `file:line` */
  readonly at: string;
}

/**
 * Every request of a workload, validated and in order of arrival.
 * @throws UserError with file:line
 */
export async function readWorkload(
  path: string,
  options: ReadWorkloadOptions = {},
): Promise<Request[]> {
  const checker = new RequestChecker();
  const requests: Request[] = [];
  for await (const { request, at } of streamRequests(path, options)) {
    checker.check(request, at);
    requests.push(request);
  }
  if (requests.length === 0) throw new UserError('no requests', { at: shown(path) });
  return requests;
}

/** Requests as their format gives them, unchecked across lines: for lint and for sorting. */
export async function* streamRequests(
  path: string,
  options: ReadWorkloadOptions = {},
): AsyncGenerator<PlacedRequest> {
  const name = shown(path);
  const { input, first } = await peek(openInput(path), name);
  const rows = first === '{' ? readJsonRows(input, name) : readCsvRows(input, name);
  const syntax = first === '{' ? 'jsonl' : 'csv';
  let reader: ReturnType<WorkloadFormat['open']> | undefined;
  let at = name;
  for await (const { row, line } of rows) {
    at = `${name}:${line}`;
    if (reader === undefined) {
      const keys = Object.keys(row);
      const format =
        options.format === undefined ? sniffFormat(keys, syntax, at) : formatByName(options.format);
      options.onFormat?.(format, ignoredKeys(format, keys));
      reader = format.open(options);
    }
    for (const request of reader.read(row, at)) yield { request, at };
  }
  for (const request of reader?.end?.() ?? []) yield { request, at };
}

function shown(path: string): string {
  return path === '-' ? '<stdin>' : path;
}

/** The first character that is no white space, and the whole input again. */
async function peek(
  source: Readable,
  path: string,
): Promise<{ readonly input: Readable; readonly first: string }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let first = '';
  try {
    while (first === '') {
      const { value, done } = await iterator.next();
      if (done === true) break;
      chunks.push(value as Uint8Array);
      const text = new TextDecoder().decode(value as Uint8Array, { stream: true });
      first = text
        .replace(/^\uFEFF/, '')
        .trimStart()
        .slice(0, 1);
    }
  } catch (error) {
    throw readError(path, error);
  }
  if (first === '') throw new UserError('is empty', { at: path });
  async function* replay(): AsyncGenerator<Uint8Array> {
    yield* chunks;
    for (;;) {
      const { value, done } = await iterator.next();
      if (done === true) return;
      yield value as Uint8Array;
    }
  }
  return { input: Readable.from(replay(), { objectMode: false }), first };
}

interface PlacedRow {
  readonly row: Row;
  readonly line: number;
}

async function* readJsonRows(input: Readable, path: string): AsyncGenerator<PlacedRow> {
  try {
    for await (const { text, number } of readLines(input, path)) {
      const value = parseJsonLine(text, `${path}:${number}`);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new UserError('expected a JSON object', { at: `${path}:${number}` });
      }
      yield { row: value as Row, line: number };
    }
  } catch (error) {
    throw readError(path, error);
  }
}

async function* readCsvRows(input: Readable, path: string): AsyncGenerator<PlacedRow> {
  const parser = parse({
    columns: true,
    info: true,
    bom: true,
    trim: true,
    skip_empty_lines: true,
  });
  input.on('error', (error) => parser.destroy(error));
  input.pipe(parser);
  try {
    for await (const { record, info } of parser) yield { row: record, line: info.lines };
  } catch (error) {
    throw readError(path, error);
  }
}

function readError(path: string, error: unknown): Error {
  if (error instanceof CsvError) {
    const line = (error as CsvError & { lines?: number }).lines;
    return new UserError(error.message.replace(/ on line \d+/, ''), {
      at: line === undefined ? path : `${path}:${line}`,
    });
  }
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code.startsWith('Z_')) return new UserError('not a complete gzip file', { at: path });
  return fileError(path, error);
}
