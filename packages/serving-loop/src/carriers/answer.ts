/**
 * What a machine in another process says. Every request to run the clock (`{"advanceNs": until}` on
 * the iteration stream) has exactly one answer: the next completion with a finish time of at most
 * `until`, or `{"advancedNs": until}`, either with whom it came through (`by`), where stages say so.
 * Answers are checked against what was asked, so that a stage that drops, repeats or invents something
 * is told at once, with its place. Times ns.
 */
import { parseWith, UserError } from '@astrolabe/base';
import {
  type AnsweredBy,
  answeredBySchema,
  type Completion,
  completionSchema,
} from '@astrolabe/system-simulator';
import { type Iteration, type Transfer, transferLane } from '@astrolabe/trace-generator';
import { z } from 'zod';

/** Stands for "until nothing is left to run" on the wire, where infinity has no integer. */
export const foreverNs = Number.MAX_SAFE_INTEGER;

const by = answeredBySchema.optional();
const advancedSchema = z.strictObject({ advancedNs: z.number().int().nonnegative(), by });
const answerSchema = completionSchema.extend({ by });

/** The line that asks the machine to run to `untilNs`. */
export function advanceLine(untilNs: number): string {
  return JSON.stringify({ advanceNs: Math.min(untilNs, foreverNs) });
}

/** The line that says nothing finished until then. */
export function advancedLine(untilNs: number, by?: AnsweredBy): string {
  return JSON.stringify({ advancedNs: Math.min(untilNs, foreverNs), by });
}

/** Iterations on their way, and the checks of answers against them. */
export class AnswerChecker {
  /** Whom the last answer came through, as far as it says so. */
  by: AnsweredBy = {};
  private readonly outstanding = new Map<string, number>();
  /** Steps of each instance that are not answered, first to last: engines end them in order. */
  private readonly steps = new Map<number, number[]>();
  private clockNs = 0;

  submitted(iteration: Iteration): void {
    this.expect(iteration.lane ?? 0, iteration.instance, iteration.iteration, iteration.releaseNs);
  }

  transferred(transfer: Transfer): void {
    this.expect(transferLane, transfer.to, transfer.transfer, transfer.releaseNs);
  }

  /** A graph set of this name is on its way. */
  expect(lane: number, instance: number, iteration: number, releaseNs: number): void {
    this.outstanding.set(nameOf(lane, instance, iteration), releaseNs);
    if (lane !== 0) return;
    const steps = this.steps.get(instance);
    if (steps === undefined) this.steps.set(instance, [iteration]);
    else steps.push(iteration);
  }

  /**
   * @param value the parsed line
   * @returns the completion, or undefined when the clock reached `untilNs`
   * @throws UserError an answer to something else, or that moves time backwards
   */
  check(value: unknown, untilNs: number, at: string): Completion | undefined {
    if (typeof value === 'object' && value !== null && 'advancedNs' in value) {
      const { advancedNs, by = {} } = parseWith(advancedSchema, value, at);
      this.by = by;
      this.checkAdvanced(advancedNs, Math.min(untilNs, foreverNs), at);
      return undefined;
    }
    const { by = {}, ...completion } = parseWith(answerSchema, value, at);
    this.by = by;
    const { finishNs } = completion;
    const name = nameOf(completion.lane, completion.instance, completion.iteration);
    const releaseNs = this.outstanding.get(name);
    if (releaseNs === undefined) {
      throw new UserError(`${name} is not on its way: never submitted, or answered before`, { at });
    }
    const earliestNs = Math.max(this.clockNs, releaseNs);
    if (finishNs < earliestNs || finishNs > untilNs) {
      throw new UserError(`finishNs ${finishNs} is not between ${earliestNs} and ${untilNs}`, {
        at,
      });
    }
    if (completion.lane === 0) this.checkOrder(completion, at);
    this.outstanding.delete(name);
    this.clockNs = finishNs;
    return completion;
  }

  private checkOrder({ instance, iteration }: Completion, at: string): void {
    const first = this.steps.get(instance)?.shift();
    if (first === iteration) return;
    throw new UserError(
      `iteration ${iteration} of instance ${instance} is answered before its iteration ${first}`,
      { at, hint: 'the steps of an instance end in the order in which they came' },
    );
  }

  private checkAdvanced(advancedNs: number, untilNs: number, at: string): void {
    if (advancedNs !== untilNs) {
      throw new UserError(`advancedNs ${advancedNs}, but the clock was to run to ${untilNs}`, {
        at,
      });
    }
    const [stuck] = this.outstanding.keys();
    if (untilNs === foreverNs && stuck !== undefined) {
      throw new UserError(
        `nothing left to run, but ${this.outstanding.size} have no completion, the first is ${stuck}`,
        { at },
      );
    }
    this.clockNs = Math.max(this.clockNs, advancedNs === foreverNs ? 0 : advancedNs);
  }
}

function nameOf(lane: number, instance: number, iteration: number): string {
  const what = lane === 0 ? 'iteration' : `lane ${lane}, iteration`;
  return `${what} ${iteration} of instance ${instance}`;
}
