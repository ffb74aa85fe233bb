/**
 * LLMServingSim's conversation with its ASTRA-sim (the casys-kaist fork), our side of it: the binary
 * lives for the whole run, prints a report and `Waiting` for every NPU that has nothing to do, and
 * takes one line each: a trace prefix, `pass`, `done` or `exit`. The clock is the binary's: it runs on
 * between questions, in steps of 1 ms when nothing is pending, so a step can start later than it was
 * released. Cycles are ns.
 */
import { type AstraReport, parseAstraReport } from './astra-inputs.js';

export interface Question {
  /** NPU that is asked about; its report carries the current time, not the time it finished. */
  readonly report: AstraReport;
}

/** Collects lines until a question is complete. */
export class QuestionReader {
  private report: AstraReport | undefined;

  /** @returns the question, at its `Waiting` line */
  push(line: string): Question | undefined {
    const report = parseAstraReport(line);
    if (report !== undefined) this.report = report;
    if (!line.includes('Waiting') || this.report === undefined) return undefined;
    return { report: this.report };
  }
}

/** First and last NPU of every instance: whom the binary asks about, and who asks for the others. */
export function controllerFlags(
  instances: readonly { readonly npus: readonly number[] }[],
): string[] {
  const starts = instances.map(({ npus }) => npus[0]);
  const ends = instances.filter(({ npus }) => npus.length > 1).map(({ npus }) => npus.at(-1)!);
  return [`--start-npu-ids=${starts.join(',')}`, `--end-npu-ids=${ends.join(',')}`];
}
