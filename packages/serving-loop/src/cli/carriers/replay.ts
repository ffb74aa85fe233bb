/**
 * `--replay DIR`: the answers of a kept run in place of generator and machine. The loop must ask what
 * it asked then; the first difference is told, so a change of policy that changes nothing can be told
 * from one that does, without simulating anything.
 */
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { type Line, openInput, parseJsonLine, readLines } from '@astrolabe/base/cli';
import type { Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';
import type { Backend } from '../../backend.js';
import { AnswerChecker, advanceLine } from '../../carriers/answer.js';
import { keptNames } from './recorder.js';

export class ReplayBackend implements Backend {
  private readonly asked: LineCursor;
  private readonly answered: LineCursor;
  private readonly checker = new AnswerChecker();
  private readonly submitted: string[] = [];
  private started = false;

  constructor(folder: string) {
    this.asked = new LineCursor(join(folder, keptNames.asked));
    this.answered = new LineCursor(join(folder, keptNames.answered));
  }

  submit(iteration: Iteration): void {
    this.started = true;
    this.submitted.push(JSON.stringify(iteration));
    this.checker.submitted(iteration);
  }

  transfer(transfer: Transfer): void {
    this.started = true;
    this.submitted.push(JSON.stringify(transfer));
    this.checker.transferred(transfer);
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    if (!this.started) return undefined;
    for (const line of this.submitted.splice(0)) await this.expect(line);
    await this.expect(advanceLine(untilNs));
    const line = await this.answered.next();
    if (line === undefined) {
      throw new UserError('the kept run ends here', { at: this.answered.at });
    }
    return this.checker.check(
      parseJsonLine(line.text, this.answered.at),
      untilNs,
      this.answered.at,
    );
  }

  async close(): Promise<Counters | undefined> {
    await this.asked.close();
    await this.answered.close();
    return undefined;
  }

  private async expect(text: string): Promise<void> {
    const line = await this.asked.next();
    if (line?.text === text) return;
    throw new UserError(
      `this run differs from the kept one: it asks ${short(text)}, the kept run asked ` +
        (line === undefined ? 'nothing more' : short(line.text)),
      { at: this.asked.at, hint: 'same cluster, workload, flags and seed give the same run' },
    );
  }
}

class LineCursor {
  private readonly path: string;
  /** Opened with the first line: a file that cannot be is then told by whoever waits for it. */
  private lines: AsyncGenerator<Line> | undefined;
  private number = 0;

  constructor(path: string) {
    this.path = path;
  }

  get at(): string {
    return `${this.path}:${this.number}`;
  }

  async next(): Promise<Line | undefined> {
    this.lines ??= readLines(openInput(this.path), this.path);
    const { value, done } = await this.lines.next();
    this.number++;
    return done === true ? undefined : value;
  }

  async close(): Promise<void> {
    await this.lines?.return(undefined);
  }
}

function short(text: string): string {
  return text.length > 160 ? `${text.slice(0, 157)}...` : text;
}
