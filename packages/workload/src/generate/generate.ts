/**
 * Synthetic workloads. Shapes: `single` calls; `multi-turn`, where each arrival is a new conversation
 * or the next turn of a random live one, its prompt the whole text so far (open loop); `sessions`,
 * where a turn waits for the one before and a think time (closed loop); `agentic`, sessions whose
 * steps may fan out into parallel calls. Content is a prefix tree. Same options, same requests.
 */
import { nsPerS, Random, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import { type ArrivalOptions, arrivals } from './arrivals.js';
import { type Length, sampleLength } from './lengths.js';

export const shapes = ['single', 'multi-turn', 'sessions', 'agentic'] as const;
export type Shape = (typeof shapes)[number];

export interface GenerateOptions {
  readonly count: number;
  readonly shape: Shape;
  readonly arrivals: ArrivalOptions;
  readonly prompt: Length;
  readonly output: Length;
  readonly turn: Length;
  /** Mean turns of a conversation, geometric, >= 1. */
  readonly meanTurns: number;
  /** Mean of the exponential think or tool time between turns, s. */
  readonly meanThinkS: number;
  /** Parallel calls of an agentic step that fans out. */
  readonly branches: number;
  /** Share of agentic steps that fan out. */
  readonly branchShare: number;
  /** Tokens that conversations of one group start with, added to the prompt; 0 for none. */
  readonly systemPromptTokens: number;
  readonly systemPromptGroups: number;
  /** No request's prompt and output together exceed this. */
  readonly maxTokens: number;
  readonly seed: number;
}

/** @throws UserError when times leave the clock's 104 days */
export function* generate(options: GenerateOptions): Generator<Request> {
  const maker = new Maker(options);
  const times = arrivals(options.arrivals);
  while (maker.made < options.count) {
    const arrivalNs = withinClock(times.next().value as number, `arrival of request ${maker.made}`);
    if (options.shape === 'single') yield maker.first(arrivalNs);
    else if (options.shape === 'multi-turn') yield maker.openTurn(arrivalNs);
    else yield* maker.session(arrivalNs);
  }
}

function withinClock(timeNs: number, what: string): number {
  if (timeNs <= Number.MAX_SAFE_INTEGER) return timeNs;
  throw new UserError(`${what}: ${timeNs} ns, expected at most 2^53 ns (104 days)`, {
    hint: 'a higher rate, shorter pauses or fewer requests',
  });
}

class Maker {
  made = 0;
  private sessions = 0;
  private readonly options: GenerateOptions;
  private readonly live: Request[] = [];
  private readonly groups: (Request | undefined)[];
  private readonly promptRandom: Random;
  private readonly outputRandom: Random;
  private readonly turnRandom: Random;
  private readonly thinkRandom: Random;

  constructor(options: GenerateOptions) {
    this.options = options;
    this.groups = Array(options.systemPromptGroups).fill(undefined);
    this.promptRandom = new Random(options.seed, 'prompt');
    this.outputRandom = new Random(options.seed, 'output');
    this.turnRandom = new Random(options.seed, 'turns');
    this.thinkRandom = new Random(options.seed, 'think');
  }

  first(arrivalNs: number): Request {
    const { systemPromptTokens, maxTokens } = this.options;
    const request = this.request(
      arrivalNs,
      Math.min(
        sampleLength(this.options.prompt, this.promptRandom) + systemPromptTokens,
        maxTokens - 1,
      ),
    );
    if (systemPromptTokens === 0) return request;
    const group = this.turnRandom.below(this.groups.length);
    const parent = this.groups[group];
    if (parent === undefined) this.groups[group] = request;
    else {
      const tokens = Math.min(systemPromptTokens, request.promptTokens, parent.promptTokens);
      request.prefix = { of: parent.id, tokens };
    }
    return request;
  }

  openTurn(arrivalNs: number): Request {
    const goOn = this.turnRandom.uniform() >= 1 / this.options.meanTurns;
    if (goOn && this.live.length > 0) {
      const slot = this.turnRandom.below(this.live.length);
      const last = this.live[slot];
      // Open-loop replays send the recorded answers, not ours: only the earlier prompt is shared.
      const next = this.next(last, arrivalNs, last.promptTokens);
      if (next !== undefined) {
        this.live[slot] = next;
        return next;
      }
      this.live[slot] = this.live[this.live.length - 1];
      this.live.pop();
    }
    const request = this.first(arrivalNs);
    if (this.options.meanTurns > 1) this.live.push(request);
    return request;
  }

  *session(arrivalNs: number): Generator<Request> {
    const { meanTurns, count, shape, branches, branchShare } = this.options;
    const session = `s${this.sessions++}`;
    let last = this.first(arrivalNs);
    last.session = session;
    yield last;
    let waitFor = [last];
    while (this.made < count && this.turnRandom.uniform() >= 1 / meanTurns) {
      const fanOut = shape === 'agentic' && this.turnRandom.uniform() < branchShare;
      const width = fanOut ? Math.min(branches, count - this.made) : 1;
      const step: Request[] = [];
      const thinkS = this.thinkRandom.exponential(this.options.meanThinkS);
      const thinkNs = withinClock(Math.round(thinkS * nsPerS), `think time in session ${session}`);
      for (let branch = 0; branch < width; branch++) {
        const next = this.next(last, arrivalNs, last.promptTokens + last.outputTokens);
        if (next === undefined) break;
        next.session = session;
        next.after = waitFor.map((request) => request.id);
        next.thinkNs = thinkNs;
        step.push(next);
      }
      if (step.length === 0) return;
      yield* step;
      waitFor = step;
      last = step[0];
    }
  }

  /** The next turn after `last`; undefined when the conversation is at its limit. */
  private next(last: Request, arrivalNs: number, sharedTokens: number): Request | undefined {
    const context = last.promptTokens + last.outputTokens;
    const added = sampleLength(this.options.turn, this.promptRandom);
    if (context + added >= this.options.maxTokens) return undefined;
    const request = this.request(arrivalNs, context + added);
    request.prefix = { of: last.id, tokens: sharedTokens };
    return request;
  }

  private request(arrivalNs: number, promptTokens: number): Request {
    const output = sampleLength(this.options.output, this.outputRandom);
    const outputTokens = Math.min(output, this.options.maxTokens - promptTokens);
    return { id: this.made++, arrivalNs, promptTokens, outputTokens };
  }
}
