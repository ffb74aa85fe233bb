/**
 * LLMServingSim's conversation with its ASTRA-sim (the casys-kaist fork), our side of it: the binary
 * lives for the whole run, prints a report and `Waiting` for every first and last NPU of an instance
 * that has nothing to do, and takes one line each: a trace prefix, `pass`, `done` or `exit`. The clock
 * is the binary's: it moves on between questions, by 1 ms when nothing is pending, so a step can begin
 * later than it was released. Cycles are ns. Pure bookkeeping; the carrier does the talking.
 */
import type { GraphSet } from '@astrolabe/chakra';
import type { Completion } from '@astrolabe/system-simulator';
import { type AstraReport, parseAstraReport } from './astra-inputs.js';
import { takeEarliest } from './take-earliest.js';

/** Collects lines until a question is complete. */
export class QuestionReader {
  private report: AstraReport | undefined;

  /** @returns who asks, and the tick, at the `Waiting` line */
  push(line: string): AstraReport | undefined {
    const report = parseAstraReport(line);
    if (report !== undefined) this.report = report;
    return line.includes('Waiting') ? this.report : undefined;
  }
}

interface Controllers {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** First and last NPU of every instance: whom the binary asks, and who asks for the others. */
export function controllersOf(
  instances: readonly { readonly npus: readonly number[] }[],
): Controllers {
  return {
    starts: instances.map(({ npus }) => npus[0]),
    ends: instances.filter(({ npus }) => npus.length > 1).map(({ npus }) => npus.at(-1)!),
  };
}

interface Step {
  readonly set: GraphSet;
  readonly prefix: string;
  readonly startNs: Map<number, number>;
  readonly finishNs: Map<number, number>;
}

/** What each asked NPU does, has done, and does next. */
export class StepBook {
  private readonly askedOf: readonly (readonly number[])[];
  private readonly instanceOf = new Map<number, number>();
  /** By instance, in order of submission. */
  private readonly steps: Step[][];
  /** By NPU: position in its instance's steps of what it runs or runs next. */
  private readonly position = new Map<number, number>();
  private readonly running = new Set<number>();
  private readonly done: Completion[] = [];
  private outstanding = 0;

  constructor(instances: readonly { readonly npus: readonly number[] }[]) {
    this.askedOf = instances.map(({ npus }) => [...new Set([npus[0], npus.at(-1)!])]);
    this.askedOf.forEach((npus, instance) => {
      for (const npu of npus) {
        this.instanceOf.set(npu, instance);
        this.position.set(npu, 0);
      }
    });
    this.steps = instances.map(() => []);
  }

  get isEmpty(): boolean {
    return this.outstanding === 0;
  }

  add(set: GraphSet, prefix: string): void {
    this.outstanding++;
    this.steps[set.instance].push({ set, prefix, startNs: new Map(), finishNs: new Map() });
  }

  /** The NPU has nothing to do: what it ran is over. Only the first report has the true tick. */
  idle(npu: number, tickNs: number): void {
    if (!this.running.delete(npu)) return;
    const instance = this.instanceOf.get(npu)!;
    const at = this.position.get(npu)!;
    this.position.set(npu, at + 1);
    const step = this.steps[instance][at];
    step.finishNs.set(npu, tickNs);
    if (step.finishNs.size === this.askedOf[instance].length) this.complete(step);
  }

  /** Prefix of the NPU's next trace, if there is one to begin by now. */
  begin(npu: number, tickNs: number): string | undefined {
    const instance = this.instanceOf.get(npu)!;
    const step = this.steps[instance][this.position.get(npu)!];
    if (step === undefined || step.set.releaseNs > tickNs) return undefined;
    step.startNs.set(npu, tickNs);
    this.running.add(npu);
    return step.prefix;
  }

  /** The earliest completion at or before `untilNs`. */
  next(untilNs: number): Completion | undefined {
    const completion = takeEarliest(this.done, untilNs);
    if (completion !== undefined) this.outstanding--;
    return completion;
  }

  private complete({ set, startNs, finishNs }: Step): void {
    const npus = [...finishNs.keys()].sort((a, b) => a - b);
    this.done.push({
      instance: set.instance,
      iteration: set.iteration,
      lane: set.lane,
      startNs: Math.min(...startNs.values()),
      finishNs: Math.max(...finishNs.values()),
      // What the NPUs between did, and what of it was computing, the binary does not say.
      npus: npus.map((npu) => ({
        npu,
        startNs: startNs.get(npu)!,
        finishNs: finishNs.get(npu)!,
        computeNs: finishNs.get(npu)! - startNs.get(npu)!,
        exposedCommNs: 0,
        exposedMemoryNs: 0,
      })),
      commBytes: 0,
      memoryBytes: 0,
    });
  }
}
