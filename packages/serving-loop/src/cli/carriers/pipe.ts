/**
 * The pipe and files carriers: stages as co-processes. Iterations and clock requests go out as lines,
 * answers come back as lines; only what is between the stages differs (a graph stream, or files and
 * control lines), and this class does not look at that. A request to run the clock is one round trip.
 */
import { UserError } from '@astrolabe/base';
import { parseJsonLine } from '@astrolabe/base/cli';
import type { AnsweredBy, Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { AnswerChecker, advanceLine } from '../../carriers/answer.js';
import type { Recorder } from './recorder.js';
import { type ChainOptions, StageChain } from './stage-chain.js';

export interface PipeObservers {
  readonly recorder?: Recorder | undefined;
  readonly onCompletion?: (completion: Completion) => void;
}

export class PipeBackend implements Backend {
  private readonly options: ChainOptions;
  private readonly observers: PipeObservers;
  private readonly checker = new AnswerChecker();
  private chain: StageChain | undefined;
  private pending = '';
  private numAnswers = 0;

  /** Nothing is started before the first iteration. */
  constructor(options: ChainOptions, observers: PipeObservers = {}) {
    this.options = options;
    this.observers = observers;
  }

  submit(iteration: Iteration): void {
    this.send(JSON.stringify(iteration));
    this.checker.submitted(iteration);
  }

  transfer(transfer: Transfer): void {
    this.send(JSON.stringify(transfer));
    this.checker.transferred(transfer);
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    if (this.pending === '' && this.chain === undefined) return undefined;
    this.send(advanceLine(untilNs));
    const chain = this.open();
    chain.write(this.pending, 1);
    this.pending = '';
    return this.read(await chain.answer(), untilNs, chain);
  }

  async close(): Promise<Counters | undefined> {
    if (this.chain === undefined) return undefined;
    for (const line of await this.chain.close()) await this.read(line, Infinity, this.chain);
    return undefined;
  }

  /** Whom answers came through, as far as they say so. */
  get by(): AnsweredBy {
    return this.checker.by;
  }

  async abort(): Promise<void> {
    await this.chain?.abort();
  }

  private open(): StageChain {
    this.chain ??= new StageChain(this.options);
    return this.chain;
  }

  private send(line: string): void {
    this.observers.recorder?.asked(line);
    this.pending += `${line}\n`;
  }

  private async read(
    line: string,
    untilNs: number,
    chain: StageChain,
  ): Promise<Completion | undefined> {
    this.numAnswers++;
    this.observers.recorder?.answered(line);
    const at = `line ${this.numAnswers}`;
    try {
      const completion = this.checker.check(parseJsonLine(line, at), untilNs, at);
      if (completion !== undefined) this.observers.onCompletion?.(completion);
      return completion;
    } catch (error) {
      throw error instanceof UserError ? await chain.refuse(error) : error;
    }
  }
}
