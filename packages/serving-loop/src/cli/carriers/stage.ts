/**
 * One stage as a child process: started without a shell, in its own process group so that nothing it
 * starts outlives it, its last stderr lines kept for the message when it fails.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { UserError } from '@astrolabe/base';
import { guard } from './guard.js';
import { LineSplitter } from './line-splitter.js';

/** stderr lines shown with a failure. */
const shownLines = 8;
/** A stage's stderr may come in after its exit; this long we wait for it. */
const drainMs = 300;
const maxLineLength = 500;

interface StageEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started. */
  readonly startError?: string;
}

/** A stage failed: exit code 2, and the run's results are incomplete. */
export class StageError extends UserError {}

export interface StageCommand {
  readonly words: readonly string[];
  /** Given by the user in place of ours. */
  readonly foreign: boolean;
}

export class Stage {
  readonly name: string;
  readonly command: StageCommand;
  readonly input: Writable;
  readonly output: Readable;
  /** Resolves once the process is gone and its stderr is read. Never rejects. */
  readonly ended: Promise<StageEnd>;
  end: StageEnd | undefined;
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private stderrLines: string[] = [];
  private readonly stderrSplitter = new LineSplitter();
  private readonly release: () => void;

  constructor(name: string, command: StageCommand) {
    this.name = name;
    this.command = command;
    const [program, ...words] = command.words;
    this.child = spawn(program, words, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.input = this.child.stdin;
    this.output = this.child.stdout;
    // A stage that ends while we write is reported by its exit, not by the broken pipe.
    this.input.on('error', () => {});
    this.output.on('error', () => {});
    this.child.stderr.on('error', () => {});
    this.child.stderr.setEncoding('utf8');
    this.child.stderr.on('data', (text: string) => this.takeStderr(text));
    this.ended = this.watch();
    this.release = guard(() => this.kill());
  }

  /** The stage as its user knows it. */
  get title(): string {
    if (!this.command.foreign) return this.name;
    const text = this.command.words.join(' ').replace(/\s+/g, ' ');
    return `${this.name} (${text.length > 120 ? `${text.slice(0, 117)}...` : text})`;
  }

  /** Ends the process and everything it started. */
  kill(): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // The whole group is gone already.
    }
  }

  /** @param what what went wrong, without the stage's name */
  error(what: string, hint?: string): StageError {
    const lines = [...this.stderrLines, this.stderrSplitter.rest].filter(
      (line) => line.trim() !== '',
    );
    const shown = lines.slice(-shownLines).map((line) => `\n  | ${line.slice(0, maxLineLength)}`);
    const nothing = this.end?.startError === undefined ? '; it wrote nothing to stderr' : '';
    const heading = shown.length === 0 ? nothing : '; its last stderr lines:';
    return new StageError(`${this.title} ${what}${heading}${shown.join('')}`, {
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** How it ended, in words. */
  describeEnd(end: StageEnd): string {
    if (end.startError !== undefined) return `could not be started: ${end.startError}`;
    if (end.signal !== null) return `was ended by ${end.signal}`;
    return `ended with exit code ${end.code}`;
  }

  private watch(): Promise<StageEnd> {
    return new Promise((resolve) => {
      const finish = (end: StageEnd): void => {
        if (this.end !== undefined) return;
        this.end = end;
        this.release();
        // What it started and left behind goes with it.
        this.kill();
        resolve(end);
      };
      this.child.once('error', (error: NodeJS.ErrnoException) => {
        const startError = error.code === 'ENOENT' ? 'no such command' : error.message;
        finish({ code: null, signal: null, startError });
      });
      this.child.once('exit', (code, signal) => {
        const timer = setTimeout(() => finish({ code, signal }), drainMs);
        this.child.once('close', () => {
          clearTimeout(timer);
          finish({ code, signal });
        });
      });
    });
  }

  private takeStderr(text: string): void {
    const lines = this.stderrSplitter.push(text);
    this.stderrSplitter.rest = this.stderrSplitter.rest.slice(-maxLineLength);
    this.stderrLines = [...this.stderrLines, ...lines].slice(-shownLines);
  }
}

/** A folder for the stages' files; it goes when they are ended by a signal to us, too. */
export function makeTemporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'serving-loop-'));
  const removeNow = (): void => rmSync(path, { recursive: true, force: true });
  const release = guard(removeNow);
  return {
    path,
    remove: () => {
      release();
      removeNow();
    },
  };
}
