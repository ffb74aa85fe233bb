/**
 * The conversation that LLMServingSim's front end has with its simulator, as a generator: it yields
 * text for stdout, and `ask` where a line of stdin is wanted. Whenever something has happened, every
 * NPU of the end list and then of the start list that has nothing to do is asked what to do: a trace
 * prefix, `pass` (with a tick: not before then, or before somebody finishes), `done` (never again) or
 * `exit`. A start NPU's trace goes also to the NPUs between it and the next start (not to ends).
 */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph } from '@astrolabe/chakra';
import type { ForkMachine } from './fork-machine.js';

export const ask = Symbol('ask');

interface ConversationInputs {
  readonly machine: ForkMachine;
  /** First NPU of each instance. */
  readonly starts: readonly number[];
  /** Last NPU of instances with more than one. */
  readonly ends: readonly number[];
  /** The graph of `<prefix>.<npu>.et`. @throws UserError when it cannot be read */
  readonly read: (prefix: string, npu: number) => ExecutionGraph;
}

export interface Outcome {
  /** Why it ended otherwise than by `exit` with nothing left to run. */
  readonly problem?: string;
}

type Conversation = Generator<string | typeof ask, Outcome, string | undefined>;

/** As stdout lines of the original look; its clock is not ours. */
function log(logger: string, level: string, message: string): string {
  return `[1970-01-01 00:00:00.000] [${logger}] [${level}] ${message}\n`;
}

export function* converse(inputs: ConversationInputs, prefix: string): Conversation {
  const state = new ConversationState(inputs);
  for (let npu = 0; npu < inputs.machine.numNpus; npu++) state.loadNow(npu, prefix);
  for (;;) {
    if (state.isOver) {
      return { problem: 'every NPU that could be asked is asleep and nothing is left to run' };
    }
    inputs.machine.step();
    for (const npu of [...inputs.ends, ...inputs.starts]) {
      if (!state.mayAsk(npu)) continue;
      yield state.report(npu);
      const answer = yield ask;
      if (answer === undefined) return { problem: 'input ended without exit' };
      const word = answer.trim();
      if (word === 'exit') {
        yield state.farewell();
        return {};
      }
      const complaint = state.answer(npu, word);
      if (complaint !== undefined) yield complaint;
    }
  }
}

class ConversationState {
  private readonly inputs: ConversationInputs;
  private readonly asleep = new Set<number>();
  /** Not to be asked before this tick, unless somebody finishes. */
  private readonly quietUntil = new Map<number, number>();
  /** Traces that wait for an NPU to be free. */
  private readonly pending: string[][];
  private readonly iteration: Int32Array;
  private readonly managed = new Map<number, readonly number[]>();

  constructor(inputs: ConversationInputs) {
    this.inputs = inputs;
    const { machine, starts, ends } = inputs;
    this.pending = Array.from({ length: machine.numNpus }, () => []);
    this.iteration = new Int32Array(machine.numNpus).fill(-1);
    for (const npu of [...starts, ...ends]) {
      if (npu < machine.numNpus) continue;
      throw new UserError(`NPU ${npu}, but the network has ${machine.numNpus}`, {
        at: '--start-npu-ids, --end-npu-ids',
      });
    }
    starts.forEach((start, i) => {
      const next = starts[i + 1] ?? machine.numNpus;
      const between = Array.from(
        { length: Math.max(0, next - start - 1) },
        (_, k) => start + 1 + k,
      );
      this.managed.set(
        start,
        between.filter((npu) => !ends.includes(npu)),
      );
    });
    machine.onFinished = (npu) => this.finished(npu);
  }

  get isOver(): boolean {
    const { machine, starts, ends } = this.inputs;
    return machine.isQuiet && [...starts, ...ends].every((npu) => this.asleep.has(npu));
  }

  mayAsk(npu: number): boolean {
    const { machine } = this.inputs;
    if (this.asleep.has(npu) || !machine.isIdle(npu)) return false;
    const until = this.quietUntil.get(npu);
    return until === undefined || machine.nowNs >= until || machine.isQuiet;
  }

  /** The current tick, also when the NPU finished long ago. */
  report(npu: number): string {
    const { machine } = this.inputs;
    const exposed = machine.nowNs - machine.computedNs(npu);
    return (
      log(
        'workload',
        'info',
        `sys[${npu}] iteration ${this.iteration[npu]} finished, ${machine.nowNs} cycles, ` +
          `exposed communication ${exposed} cycles.`,
      ) + log('workload', 'info', 'Waiting')
    );
  }

  /** @returns a line about what could not be done */
  answer(npu: number, word: string): string | undefined {
    if (word === 'done') {
      this.asleep.add(npu);
      return undefined;
    }
    const pass = /^pass(?:\s+(-?\d+))?$/.exec(word);
    if (pass !== null) {
      const tick = Number(pass[1] ?? -1);
      if (tick >= 0) this.quietUntil.set(npu, tick);
      return undefined;
    }
    this.quietUntil.clear();
    try {
      for (const other of this.managed.get(npu) ?? []) this.queue(other, word);
      this.loadNow(npu, word);
      return undefined;
    } catch (error) {
      // As there: said, given up, and the NPU is asked again.
      if (!(error instanceof UserError)) throw error;
      return log('workload', 'critical', error.message);
    }
  }

  loadNow(npu: number, prefix: string): void {
    const graph = this.inputs.read(prefix, npu);
    this.iteration[npu]++;
    this.inputs.machine.load(npu, graph, `${prefix}.${npu}.et`);
  }

  farewell(): string {
    const { machine } = this.inputs;
    const busy = Array.from({ length: machine.numNpus }, (_, npu) => npu).filter(
      (npu) => !machine.isIdle(npu) || this.pending[npu].length > 0,
    );
    const verdict =
      busy.length === 0 ? 'All Request Has Been Exited' : 'ERROR: Some Requests Remain';
    const line = '-'.repeat(60);
    return ['Checking Non-Exited Systems ...', ...busy.map((npu) => `sys[${npu}] `), line, verdict]
      .concat(line)
      .map((text) => `${text}\n`)
      .join('');
  }

  private queue(npu: number, prefix: string): void {
    const idle = this.inputs.machine.isIdle(npu) && this.pending[npu].length === 0;
    if (idle) this.loadNow(npu, prefix);
    else this.pending[npu].push(prefix);
  }

  private finished(npu: number): void {
    this.quietUntil.clear();
    const next = this.pending[npu].shift();
    if (next !== undefined) this.loadNow(npu, next);
  }
}
