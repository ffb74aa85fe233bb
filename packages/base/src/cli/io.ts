/** Reading and writing for filters: `-` is stdin or stdout, NDJSON keeps its line numbers. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip, gunzipSync } from 'node:zlib';
import { UserError } from '../errors.js';

let stdoutIsClosed = false;

/** Called when stdout's reader went away; later writes are dropped quietly. */
export function stdoutClosed(): void {
  stdoutIsClosed = true;
}

export function isStdoutClosed(): boolean {
  return stdoutIsClosed;
}

/** Writes to stdout and waits for room when its buffer is full. Drops data once the reader left. */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  if (stdoutIsClosed || process.stdout.write(data)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      process.stdout.off('drain', done);
      process.stdout.off('close', done);
      process.stdout.off('error', done);
      resolve();
    };
    process.stdout.on('drain', done);
    process.stdout.on('close', done);
    process.stdout.on('error', done);
  });
}

/** Collects small writes to stdout into chunks of 64 KiB. Call `flush` at the end. */
export class StdoutBuffer {
  private parts: string[] = [];
  private size = 0;

  async line(text: string): Promise<void> {
    this.parts.push(text, '\n');
    this.size += text.length + 1;
    if (this.size >= 65536) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.parts.join('');
    this.parts = [];
    this.size = 0;
    if (text.length > 0) await writeStdout(text);
  }
}

/** Opens a file, a `.gz` file, or stdin for `-`. */
export function openInput(path: string): Readable {
  if (path === '-') {
    if (process.stdin.isTTY) {
      throw new UserError('stdin is a terminal; give a file or pipe data in', {
        hint: 'see --help for examples',
      });
    }
    return process.stdin;
  }
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  return path.endsWith('.gz') ? Readable.from(unpacked(file, path), { objectMode: false }) : file;
}

async function* unpacked(file: Readable, path: string): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  file.on('error', (error) => gunzip.destroy(error));
  try {
    yield* file.pipe(gunzip);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    file.destroy();
  }
}

/** Reads a whole file as bytes; `.gz` is unpacked. Errors name the file. */
export function readBytes(path: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
  if (!path.endsWith('.gz')) return bytes;
  try {
    return gunzipSync(bytes);
  } catch {
    throw new UserError('not a complete gzip file', { at: path });
  }
}

export function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path));
}

/** Parses a JSON file; a syntax error names file, line and column. */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`not valid JSON: ${jsonReason(error)}`, {
      at: `${path}${jsonPosition(text, error)}`,
    });
  }
}

function jsonReason(error: unknown): string {
  return (error as Error).message
    .replace(/ in JSON at position.*$| is not valid JSON$/s, '')
    .replace(/\n/g, ' ');
}

/** `:line:column`; only the line at the end of a text cut short. */
function jsonPosition(text: string, error: unknown): string {
  const { message } = error as Error;
  if (message.startsWith('Unexpected end')) return `:${text.split('\n').length}`;
  const position = jsonOffset(text, message);
  if (position === undefined) return '';
  const before = text.slice(0, position).split('\n');
  return `:${before.length}:${before[before.length - 1].length + 1}`;
}

/** V8 names the position, or quotes the text from 10 characters before the place, or all of a short one. */
function jsonOffset(text: string, message: string): number | undefined {
  const position = /position (\d+)/.exec(message);
  if (position !== null) return Number(position[1]);
  const quoted = /, \.\.\."(.*)"(\.\.\.)? is not valid JSON$/s.exec(message);
  if (quoted === null) return undefined;
  const start = text.indexOf(quoted[1]);
  return start < 0 ? undefined : start + 10;
}

const sentences: Record<string, string> = {
  ENOENT: 'no such file',
  EISDIR: 'is a directory, expected a file',
  ENOTDIR: 'is not a directory',
  EEXIST: 'is a file, expected a directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'is on a read-only file system',
  ENOSPC: 'no space left on the device',
  ENAMETOOLONG: 'name too long',
};

/** The operating system's refusal in the words a user needs. */
export function systemReason(error: NodeJS.ErrnoException): string {
  // Node's recursive mkdir says so of a read-only file system.
  if (error.syscall === 'mkdir' && error.code === 'ENOENT') return 'cannot be made here';
  return sentences[error.code ?? ''] ?? error.message;
}

/** A missing or unreadable file. Other errors, and a reader that went away, are left as they are. */
export function fileError(path: string, error: unknown): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code.startsWith('Z_')) return new UserError('not a complete gzip file', { at: path });
  if (sentences[code] === undefined) return error as Error;
  return new UserError(sentences[code], { at: path });
}

export interface Line {
  readonly text: string;
  /** 1-based. */
  readonly number: number;
}

/** Half of what a string of JavaScript holds. */
const longestLine = 2 ** 28;

/** Lines of a stream with their numbers, without blank ones. The last may lack its newline. */
export async function* readLines(
  input: Readable,
  path: string,
  longest = longestLine,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  // Of the line that has not ended; joined once, or a long line would be copied with every chunk.
  let parts: string[] = [];
  let length = 0;
  let number = 1;
  try {
    for await (const chunk of input) {
      const [first, ...others] = decoder.decode(chunk as Uint8Array, { stream: true }).split('\n');
      parts.push(first);
      length += first.length;
      if (length > longest) {
        throw new UserError(`a line of more than ${longest} characters`, {
          at: `${path}:${number}`,
        });
      }
      for (const next of others) {
        const text = parts.length === 1 ? parts[0] : parts.join('');
        if (text.trim() !== '') yield { text, number };
        number++;
        parts = [next];
        length = next.length;
      }
    }
  } catch (error) {
    throw fileError(path, error);
  }
  const text = parts.join('') + decoder.decode();
  if (text.trim() !== '') yield { text, number };
}

/** NDJSON objects with their line numbers; a broken line is a `UserError` naming `path:line`. */
export async function* readNdjson(
  input: Readable,
  path: string,
): AsyncGenerator<{ readonly value: unknown; readonly line: number }> {
  for await (const { text, number } of readLines(input, path)) {
    yield { value: parseJsonLine(text, `${path}:${number}`), line: number };
  }
}

export function parseJsonLine(text: string, at: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`not a complete JSON object: ${jsonReason(error)}`, { at });
  }
}

/** SHA-256 of a file's bytes in hex, for run manifests. */
export function hashFile(path: string): string {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  } catch (error) {
    throw fileError(path, error);
  }
}
