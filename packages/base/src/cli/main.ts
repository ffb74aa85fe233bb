/**
 * How every command ends. Exit codes: 0 done, 1 the answer is no (`Verdict`), 2 bad input or usage
 * (`UserError`, commander's own errors), 70 our bug. A reader that went away (EPIPE) is a quiet 0.
 * `process.exit` is never called: it would cut off what is still on its way down a pipe.
 */
import { CommanderError } from 'commander';
import { UserError } from '../errors.js';
import { stdoutClosed, systemReason } from './io.js';

const exitCodes = { done: 0, no: 1, usage: 2, bug: 70 } as const;

/** The command ran and its answer is no: lint findings, unfinished requests, a mismatch. */
export class Verdict extends Error {
  override readonly name = 'Verdict';
}

/** Runs a command's body and turns its outcome into one stderr line and an exit code. */
export async function runMain(command: string, body: () => Promise<void> | void): Promise<void> {
  process.stdout.on('error', (error) => onStdoutError(command, error));
  try {
    await body();
  } catch (error) {
    process.exitCode = report(command, error);
  }
}

/** A reader that left is no failure; a full disk behind a redirection is one. */
function onStdoutError(command: string, error: NodeJS.ErrnoException): void {
  stdoutClosed();
  if (isBrokenPipe(error)) return;
  complain(command, `stdout: ${systemMessage(error)}`);
  process.exitCode = exitCodes.usage;
}

function report(command: string, error: unknown): number {
  if (isBrokenPipe(error)) return exitCodes.done;
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  if (error instanceof Verdict) {
    complain(command, error.message);
    return exitCodes.no;
  }
  if (error instanceof UserError) {
    complain(command, error.message);
    if (error.hint !== undefined) process.stderr.write(`  hint: ${error.hint}\n`);
    return exitCodes.usage;
  }
  if (isSystemError(error)) {
    complain(command, systemMessage(error));
    return exitCodes.usage;
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  complain(command, `internal error, please report it\n${detail}`);
  return exitCodes.bug;
}

function complain(command: string, message: string): void {
  process.stderr.write(`${command}: ${printable(message)}\n`);
}

/** Messages quote input; what would steer a terminal is written as \u00XX. Line breaks stay. */
function printable(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
  return message.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function isBrokenPipe(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return (
    code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED' || code === 'ERR_STREAM_PREMATURE_CLOSE'
  );
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  const candidate = error as NodeJS.ErrnoException | undefined;
  return error instanceof Error && typeof candidate?.syscall === 'string';
}

function systemMessage(error: NodeJS.ErrnoException): string {
  const what = systemReason(error);
  return error.path === undefined ? what : `${error.path}: ${what}`;
}
