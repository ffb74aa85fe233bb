/**
 * Lines to stdout (`-`) or to a file that appears whole: written beside its place, renamed at the
 * end, removed on failure.
 */
import { createWriteStream, mkdirSync, renameSync, rmSync, type WriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { fileError, isStdoutClosed, StdoutBuffer } from '@astrolabe/base/cli';

/** Calls `body` with a line writer; `body` should stop when `line` returns false. */
export async function withLineOutput(
  path: string,
  body: (line: (text: string) => Promise<boolean>) => Promise<void>,
): Promise<void> {
  if (path === '-') {
    const buffer = new StdoutBuffer();
    await body(async (text) => {
      await buffer.line(text);
      return !isStdoutClosed();
    });
    await buffer.flush();
    return;
  }
  await toFile(path, body);
}

async function toFile(
  path: string,
  body: (line: (text: string) => Promise<boolean>) => Promise<void>,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  const stream = createWriteStream(temporary);
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure = error;
  });
  try {
    let parts: string[] = [];
    let size = 0;
    await body(async (text) => {
      parts.push(text, '\n');
      size += text.length;
      if (size >= 1 << 18) {
        await write(stream, parts.join(''));
        parts = [];
        size = 0;
      }
      return failure === undefined;
    });
    await write(stream, parts.join(''));
    await new Promise<void>((resolve) => stream.end(resolve));
    if (failure !== undefined) throw failure;
    renameSync(temporary, path);
  } catch (error) {
    stream.destroy();
    rmSync(temporary, { force: true });
    throw fileError(path, error);
  }
}

async function write(stream: WriteStream, text: string): Promise<void> {
  if (stream.write(text) || stream.errored !== null) return;
  await new Promise<void>((resolve) => {
    stream.once('drain', resolve);
    stream.once('close', resolve);
  });
}
