/**
 * Two stages in a row as co-processes: lines go to the first, its output is handed to the second,
 * answers come back as lines. Back-pressure holds at every joint. Whatever goes wrong (a stage ends,
 * stays silent, or writes what it must not) ends both, within the timeout, and is told once.
 */
import { UserError } from '@astrolabe/base';
import { LineSplitter } from './line-splitter.js';
import type { RelayWatcher } from './relay-watcher.js';
import { Stage, type StageCommand, type StageError } from './stage.js';

export interface ChainOptions {
  readonly generator: StageCommand;
  readonly simulator: StageCommand;
  /** Longest wait for one answer, ms of wall time. */
  readonly timeoutMs: number;
  readonly watcher: RelayWatcher;
  /** Sees the bytes between the stages. */
  readonly onRelay?: (chunk: Uint8Array) => void;
}

/** Longest answer line accepted, characters. */
const maxAnswerLength = 64 * 2 ** 20;

export class StageChain {
  readonly generator: Stage;
  readonly simulator: Stage;
  private readonly options: ChainOptions;
  private numAsked = 0;
  private closing = false;
  private failure: StageError | undefined;
  private readonly lines: string[] = [];
  private readonly splitter = new LineSplitter();
  private readonly decoder = new TextDecoder();
  private waiter: (() => void) | undefined;

  constructor(options: ChainOptions) {
    this.options = options;
    this.generator = new Stage('trace-generator', options.generator);
    this.simulator = new Stage('system-simulator', options.simulator);
    this.generator.output.on('data', (chunk: Buffer) => this.relay(chunk));
    this.generator.output.on('end', () => {
      if (this.closing) this.simulator.input.end();
    });
    this.simulator.output.on('data', (chunk: Buffer) => this.takeAnswers(chunk));
    void this.watch(this.generator);
    void this.watch(this.simulator);
  }

  /** Hands lines to the first stage; `asks` of them call for an answer. */
  write(text: string, asks: number): void {
    this.numAsked += asks;
    if (this.failure === undefined) this.generator.input.write(text);
  }

  /** The next answer line. @throws StageError after both stages are gone */
  async answer(): Promise<string> {
    if (this.lines.length === 0 && this.failure === undefined) await this.wait();
    if (this.failure !== undefined) throw await this.ended(this.failure);
    return this.lines.shift()!;
  }

  /** Ends the input and waits for both. @returns answers that were still to come */
  async close(): Promise<readonly string[]> {
    this.closing = true;
    this.generator.input.end();
    const timer = setTimeout(() => {
      const late = this.generator.end === undefined ? this.generator : this.simulator;
      this.fail(late.error(`did not end within ${this.seconds} after the end of its input`));
    }, this.options.timeoutMs);
    const ends = await Promise.all([this.generator.ended, this.simulator.ended]);
    clearTimeout(timer);
    [this.generator, this.simulator].forEach((stage, index) => {
      const end = ends[index];
      if (end.code !== 0) this.fail(stage.error(stage.describeEnd(end)));
    });
    if (this.splitter.rest.trim() !== '') this.lines.push(this.splitter.rest);
    if (this.failure !== undefined) throw this.failure;
    return this.lines.splice(0);
  }

  /** Ends both stages at once. */
  async abort(): Promise<void> {
    this.generator.kill();
    this.simulator.kill();
    await Promise.all([this.generator.ended, this.simulator.ended]);
  }

  /** What the simulator said makes no sense. @returns the error, both stages being gone */
  async refuse(error: UserError): Promise<StageError> {
    const what = `gave a wrong answer: ${error.message}`;
    this.fail(this.simulator.error(this.withSource(this.simulator, what)));
    return this.ended(this.failure!);
  }

  private get seconds(): string {
    return `${this.options.timeoutMs / 1000} s`;
  }

  private async ended(failure: StageError): Promise<StageError> {
    await this.abort();
    return failure;
  }

  private relay(chunk: Buffer): void {
    try {
      this.options.watcher.push(chunk);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.fail(this.generator.error(`wrote what is no graph stream: ${error.message}`));
      return;
    }
    this.options.onRelay?.(chunk);
    const { output } = this.generator;
    if (this.simulator.input.write(chunk)) return;
    output.pause();
    this.simulator.input.once('drain', () => output.resume());
  }

  private takeAnswers(chunk: Buffer): void {
    const lines = this.splitter.push(this.decoder.decode(chunk, { stream: true }));
    if (this.splitter.rest.length > maxAnswerLength) {
      this.fail(this.simulator.error('writes a line without end'));
    }
    for (const line of lines) if (line.trim() !== '') this.lines.push(line);
    if (this.lines.length > 0) this.wake();
  }

  private async wait(): Promise<void> {
    const timer = setTimeout(() => this.fail(this.silent()), this.options.timeoutMs);
    await new Promise<void>((resolve) => {
      this.waiter = resolve;
    });
    clearTimeout(timer);
  }

  /** The stage that owes something: the generator until the clock request came out of it. */
  private silent(): StageError {
    const late = this.options.watcher.numAdvances < this.numAsked ? this.generator : this.simulator;
    const what = this.withSource(late, `did not answer within ${this.seconds}`);
    return late.error(what, 'see --stage-timeout');
  }

  private async watch(stage: Stage): Promise<void> {
    const end = await stage.ended;
    if (this.closing || this.failure !== undefined) return;
    const started = end.startError === undefined;
    const what = `${stage.describeEnd(end)}${started ? ' before the run was over' : ''}`;
    // Exit code 2 is about its input.
    this.fail(stage.error(end.code === 2 ? this.withSource(stage, what) : what));
  }

  /** What may be wrong with the simulator's input, when that is what the user's own stage wrote. */
  private withSource(stage: Stage, what: string): string {
    const own = stage === this.simulator && this.generator.command.foreign;
    return own ? `${what}; its input came from ${this.generator.title}` : what;
  }

  /** The first failure is the cause; later ones follow from it. */
  private fail(error: StageError): void {
    this.failure ??= error;
    this.generator.kill();
    this.simulator.kill();
    this.wake();
  }

  private wake(): void {
    const { waiter } = this;
    this.waiter = undefined;
    waiter?.();
  }
}
