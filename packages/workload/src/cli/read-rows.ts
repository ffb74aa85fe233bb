/**
 * Records of a file, a `.gz` file or stdin, with their places: JSON lines, a JSON array, one JSON
 * document, or CSV with a header. Which of them is told by the first bytes.
 */
import { Readable } from 'node:stream';
import { UserError } from '@astrolabe/base';
import { fileError, openInput, readLines } from '@astrolabe/base/cli';
import { JSONParser, TokenizerError, TokenParserError } from '@streamparser/json';
import { CsvError, parse } from 'csv-parse';
import type { Row, WorkloadFormat } from '../formats/format.js';

interface PlacedRow {
  readonly row: Row;
  /** `file:line`, or `file: [index]` in a JSON array. */
  readonly at: string;
}

interface RowSource {
  readonly syntax: WorkloadFormat['syntax'];
  readonly rows: AsyncGenerator<PlacedRow>;
}

export function shownName(path: string): string {
  return path === '-' ? '<stdin>' : path;
}

/** @throws UserError naming the file, here or while rows are read */
export async function openRows(path: string): Promise<RowSource> {
  const name = shownName(path);
  const { input, first } = await peek(openInput(path), name);
  if (first === '{') return { syntax: 'jsonl', rows: guarded(jsonLines(input, name), name) };
  if (first === '[') return { syntax: 'json', rows: guarded(jsonArray(input, name), name) };
  return { syntax: 'csv', rows: guarded(csvRows(input, name), name) };
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

async function* guarded(rows: AsyncGenerator<PlacedRow>, path: string): AsyncGenerator<PlacedRow> {
  try {
    yield* rows;
  } catch (error) {
    throw readError(path, error);
  }
}

async function* jsonLines(input: Readable, path: string): AsyncGenerator<PlacedRow> {
  // A document spread over lines cannot be told from a broken first line until its end.
  let document: string[] | undefined;
  for await (const { text, number } of readLines(input, path)) {
    const at = `${path}:${number}`;
    if (document !== undefined) {
      document.push(text);
      continue;
    }
    const value = parseKeepingBigIntegers(text);
    if (value === undefined) {
      if (number > 1 || !/^\s*\{\s*("[^"]*"\s*:.*)?$/.test(text) || /\}\s*$/.test(text)) {
        throw new UserError('not a complete JSON object', { at });
      }
      document = [text];
      continue;
    }
    yield { row: asRow(value, at), at };
  }
  if (document === undefined) return;
  const value = document.length > 1 ? parseKeepingBigIntegers(document.join('\n')) : undefined;
  if (value === undefined) throw new UserError('not a complete JSON object', { at: `${path}:1` });
  yield { row: asRow(value, path), at: path };
}

/**
 * JSON where integers beyond 2^53 become strings: hashes and epoch ns do not fit a number.
 * Undefined when the text is not JSON.
 */
function parseKeepingBigIntegers(text: string): unknown {
  if (/\d{16}/.test(text)) {
    const quoted = text.replace(/([[,:]\s*)(-?\d{16,})(?=\s*[,\]}])/g, (all, before, digits) =>
      Number.isSafeInteger(Number(digits)) ? all : `${before}"${digits}"`,
    );
    const value = tryParse(quoted);
    if (value !== undefined) return value;
  }
  return tryParse(text);
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRow(value: unknown, at: string): Row {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row;
  throw new UserError('expected a JSON object', { at });
}

async function* jsonArray(input: Readable, path: string): AsyncGenerator<PlacedRow> {
  const parser = new JSONParser({ paths: ['$.*'], keepStack: false });
  let ready: unknown[] = [];
  parser.onValue = ({ value }) => {
    ready.push(value);
  };
  // The default handler throws from inside the parser; the same error reaches `write`.
  let index = 0;
  const rows = function* (): Generator<PlacedRow> {
    const values = ready;
    ready = [];
    for (const value of values) {
      const at = `${path}: [${index++}]`;
      yield { row: asRow(value, at), at };
    }
  };
  for await (const chunk of input) {
    parser.write(chunk as Uint8Array);
    yield* rows();
  }
  if (!parser.isEnded) {
    throw new UserError('the JSON array has no end: the file is cut', {
      at: `${path}: [${index}]`,
    });
  }
}

async function* csvRows(input: Readable, path: string): AsyncGenerator<PlacedRow> {
  const { body, skippedLines, header } = await skipYamlHeader(input);
  const parser = parse({
    columns: true,
    delimiter: delimiterOf(header),
    info: true,
    bom: true,
    trim: true,
    skip_empty_lines: true,
  });
  body.on('error', (error) => parser.destroy(error));
  body.pipe(parser);
  try {
    for await (const { record, info } of parser) {
      yield { row: record, at: `${path}:${info.lines + skippedLines}` };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = (error as CsvError & { lines?: number }).lines;
    throw new UserError(error.message.replace(/ on line \d+/, ''), {
      at: line === undefined ? path : `${path}:${line + skippedLines}`,
    });
  }
}

/** Tabs or semicolons, where no comma parts the columns. */
function delimiterOf(header: string): string {
  return [',', '\t', ';'].find((delimiter) => header.includes(delimiter)) ?? ',';
}

/** Some CSV traces start with YAML: lines `key: value` and comments up to the line of columns. */
async function skipYamlHeader(input: Readable): Promise<{
  readonly body: Readable;
  readonly skippedLines: number;
  /** The line of columns. */
  readonly header: string;
}> {
  const iterator = input[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  let skippedLines = 0;
  const yaml = /^(---|\.\.\.|#.*|\s*-\s.*|\s*[\w.-]+:(\s.*)?|\s+\S.*)?$/;
  search: for (;;) {
    for (;;) {
      const end = head.indexOf(10);
      if (end < 0) break;
      const line = head.subarray(0, end).toString('utf8').replace(/\r$/, '');
      const isYaml = yaml.test(line) && (skippedLines > 0 || /^(---|#|[\w.-]+:\s*)/.test(line));
      if (!isYaml) break search;
      skippedLines++;
      head = head.subarray(end + 1);
    }
    const { value, done } = await iterator.next();
    if (done === true) break;
    head = Buffer.concat([head, value as Uint8Array]);
  }
  async function* rest(): AsyncGenerator<Uint8Array> {
    yield head;
    for (;;) {
      const { value, done } = await iterator.next();
      if (done === true) return;
      yield value as Uint8Array;
    }
  }
  const [header] = head.toString('utf8').split('\n', 1);
  return { body: Readable.from(rest(), { objectMode: false }), skippedLines, header };
}

function readError(path: string, error: unknown): Error {
  if (error instanceof TokenizerError || error instanceof TokenParserError) {
    return new UserError(`not valid JSON: ${error.message}`, { at: path });
  }
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code.startsWith('Z_')) return new UserError('not a complete gzip file', { at: path });
  return fileError(path, error);
}
