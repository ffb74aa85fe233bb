/**
 * Operands of the command to graphs: a file, `-` for stdin, or the prefix of `<prefix>.<npu>.et`
 * files. Gzip is told by its first two bytes. Graphs come one at a time, in the order of the input.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip, gunzipSync } from 'node:zlib';
import { UserError } from '@astrolabe/base';
import { fileError, inputsArgument, openInput, readBytes } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import { type DecodeOptions, readGraphs } from '../decode.js';
import { dialects } from '../dialect.js';
import type { ExecutionGraph } from '../graph.js';
import { graphPlace } from '../lint/lint.js';
import { readStreamMetadata } from '../stream-metadata.js';

export interface ReadGraph {
  readonly graph: ExecutionGraph;
  readonly file: string;
  /** 0-based place in its file. */
  readonly index: number;
  /** From the metadata, else from the file's name, else the place in the input. */
  readonly npu: number;
  /** File, and graph where the file has several. */
  readonly at: string;
}

export function dialectOption(flags = '--dialect <name>', what = 'input'): Option {
  return new Option(flags, `wire dialect of the ${what}`)
    .choices([...dialects])
    .default('upstream');
}

/** Argument and options of commands that read graphs. */
export function withInputs(command: Command): Command {
  return command
    .addArgument(inputsArgument('inputs', 'files, prefixes of <prefix>.<npu>.et, or - for stdin'))
    .addOption(dialectOption());
}

const perNpu = /\.(\d+)\.et(\.gz)?$/;

/** Files that an operand stands for, by ascending NPU for a prefix. @throws UserError if none */
export function expandOperand(operand: string): string[] {
  if (operand === '-' || (existsSync(operand) && statSync(operand).isFile())) return [operand];
  const folder = dirname(operand);
  const name = `${basename(operand)}.`;
  const found: { npu: number; path: string }[] = [];
  for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
    const match = entry.startsWith(name)
      ? /^(\d+)\.et(\.gz)?$/.exec(entry.slice(name.length))
      : null;
    if (match !== null) found.push({ npu: Number(match[1]), path: join(folder, entry) });
  }
  if (found.length === 0) {
    throw new UserError('no such file, and no <prefix>.<npu>.et files of that prefix', {
      at: operand,
    });
  }
  return found.sort((a, b) => a.npu - b.npu).map(({ path }) => path);
}

/** The NPU in `<prefix>.<npu>.et`. */
export function npuOfFile(file: string): number | undefined {
  const named = perNpu.exec(file);
  return named === null ? undefined : Number(named[1]);
}

/** The bytes of an .et file, unpacked if they are gzip whatever the name. */
export function readGraphFile(path: string): Uint8Array {
  const bytes = readBytes(path);
  if (!isGzip(bytes)) return bytes;
  try {
    return gunzipSync(bytes);
  } catch {
    throw new UserError('not a complete gzip file', { at: path });
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** All graphs of all operands. */
export async function* openGraphs(
  operands: readonly string[],
  options: DecodeOptions,
): AsyncGenerator<ReadGraph> {
  let total = 0;
  for (const file of operands.flatMap(expandOperand)) {
    const shown = file === '-' ? 'stdin' : file;
    let index = 0;
    for await (const graph of readGraphs(openBytes(file), { ...options, at: shown })) {
      const at = graphPlace(shown, index, graph);
      const fallback = (index > 0 ? undefined : npuOfFile(file)) ?? total;
      const npu = readStreamMetadata(graph.metadata, at).npu ?? fallback;
      yield { graph, file, index, npu, at };
      index++;
      total++;
    }
    if (index === 0 && file !== '-') throw new UserError('no Chakra graph in it', { at: shown });
  }
}

/** Bytes of a file or stdin, unpacked if they are gzip. */
export async function* openBytes(path: string): AsyncGenerator<Uint8Array> {
  const input = openInput(path);
  try {
    const chunks = input[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const first = await chunks.next();
    if (first.done === true) return;
    const rest = { [Symbol.asyncIterator]: () => chunks };
    if (!isGzip(first.value)) {
      yield first.value;
      yield* rest;
      return;
    }
    const packed = async function* (): AsyncGenerator<Uint8Array> {
      yield first.value;
      yield* rest;
    };
    const source = Readable.from(packed());
    const unpacked = source.pipe(createGunzip());
    source.on('error', (error) => unpacked.destroy(error));
    yield* unpacked;
  } catch (error) {
    if (String((error as NodeJS.ErrnoException).code).startsWith('Z_')) {
      throw new UserError('not a complete gzip file', { at: path === '-' ? 'stdin' : path });
    }
    throw fileError(path, error);
  }
}

/** The one graph of a file, or the graph chosen with `--graph`. @throws UserError otherwise */
export async function openOneGraph(
  operand: string,
  options: DecodeOptions,
  index: number | undefined,
): Promise<ReadGraph> {
  const graphs: ReadGraph[] = [];
  for await (const read of openGraphs([operand], options)) {
    if (index === undefined || graphs.length <= index) graphs.push(read);
  }
  const chosen = graphs[index ?? 0];
  if (chosen === undefined) {
    throw new UserError(`has ${graphs.length} graphs, no graph ${index ?? 0}`, { at: operand });
  }
  if (index === undefined && graphs.length > 1) {
    throw new UserError(`has ${graphs.length} graphs`, {
      at: operand,
      hint: 'choose one with --graph N, counted from 0',
    });
  }
  return chosen;
}
