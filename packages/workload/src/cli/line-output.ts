/**
 * Lines to stdout (`-`) or to a file that appears whole: written beside its place, renamed at the
 * end, removed on failure.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import {
  commitWhole,
  discardWhole,
  fileError,
  isStdoutClosed,
  StdoutBuffer,
  wholeFile,
} from '@astrolabe/base/cli';

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
  const file = wholeFile(path);
  const stream = createWriteStream(file.temporary);
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
    commitWhole(file);
  } catch (error) {
    await closed(stream.destroy());
    discardWhole(file);
    throw fileError(path, error);
  }
}

/** A stream may still be opening its file: removed before, it would appear after. */
async function closed(stream: WriteStream): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve));
}

async function write(stream: WriteStream, text: string): Promise<void> {
  if (stream.write(text) || stream.errored !== null) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
