/**
 * What is wrong or suspicious in a workload, as findings instead of an error at the first. Errors make
 * a run impossible; warnings are things that usually mean a broken trace. Streaming.
 */
import { nsPerS, UserError } from '@astrolabe/base';
import type { Request } from './request.js';
import { RequestChecker } from './request-checker.js';

export interface Finding {
  readonly level: 'error' | 'warning';
  /** Short name of the rule. */
  readonly rule: string;
  readonly at: string;
  readonly message: string;
}

export interface LintOptions {
  /** Context limit in tokens, if known. */
  readonly maxModelLen?: number | undefined;
}

const dayNs = 86_400e9;

export class Linter {
  private readonly checker = new RequestChecker();
  private readonly options: LintOptions;
  private count = 0;
  private withIds = 0;
  private withPrefix = 0;
  private firstArrivalNs = 0;
  private lastArrivalNs = 0;
  private firstIds: string | undefined;
  private sameIds = 0;
  private sameArrival = 0;
  private oneToken = 0;
  private readonly place: string;

  constructor(place: string, options: LintOptions = {}) {
    this.place = place;
    this.options = options;
  }

  add(request: Request, at: string): Finding[] {
    const findings = this.checked(request, at);
    const total = request.promptTokens + request.outputTokens;
    const limit = this.options.maxModelLen;
    if (limit !== undefined && total > limit) {
      const message = `${request.promptTokens} + ${request.outputTokens} tokens exceed ${limit}`;
      findings.push({ level: 'error', rule: 'context', at, message });
    }
    const gapNs = request.arrivalNs - this.lastArrivalNs;
    if (this.count > 0 && gapNs > 30 * dayNs) {
      const message = `arrival jumps by ${Math.round(gapNs / dayNs)} days: two clocks?`;
      findings.push({ level: 'warning', rule: 'two-clocks', at, message });
    }
    if (this.count === 0) this.firstArrivalNs = request.arrivalNs;
    this.observe(request, gapNs);
    return findings;
  }

  private checked(request: Request, at: string): Finding[] {
    try {
      this.checker.check(request, at);
      return [];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.checker.accept(request);
      const what = error.message.slice(at.length + 2);
      const message = error.hint === undefined ? what : `${what}; ${error.hint}`;
      return [{ level: 'error', rule: ruleOf(what), at, message }];
    }
  }

  private observe(request: Request, gapNs: number): void {
    if (this.count > 0 && gapNs === 0) this.sameArrival++;
    this.count++;
    this.lastArrivalNs = Math.max(this.lastArrivalNs, request.arrivalNs);
    if (request.outputTokens === 1) this.oneToken++;
    if (request.prefix !== undefined) this.withPrefix++;
    if (request.promptTokenIds === undefined) return;
    this.withIds++;
    const ids = request.promptTokenIds.join(',');
    this.firstIds ??= ids;
    if (ids === this.firstIds) this.sameIds++;
  }

  end(): Finding[] {
    const findings: Finding[] = [];
    const warn = (rule: string, message: string): void => {
      findings.push({ level: 'warning', rule, at: this.place, message });
    };
    const { count, withIds, withPrefix, firstArrivalNs, sameIds, sameArrival, oneToken } = this;
    if (count === 0) {
      findings.push({ level: 'error', rule: 'empty', at: this.place, message: 'no requests' });
      return findings;
    }
    if (firstArrivalNs > dayNs && Number.isSafeInteger(firstArrivalNs)) {
      const late = `the first request arrives after ${(firstArrivalNs / nsPerS).toFixed(0)} s`;
      warn('late-start', `${late}; --start-at-zero shifts arrivals`);
    }
    if (withIds + withPrefix === 0) {
      warn('no-content', 'no token ids and no prefix tree: a prefix cache will never hit');
    } else if (withIds > 0 && withIds + withPrefix < count) {
      warn('missing-ids', `${count - withIds} of ${count} requests have no token ids`);
    }
    if (sameIds > 1 && sameIds * 2 > withIds) {
      warn('identical-ids', `${sameIds} of ${withIds} prompts with ids are identical`);
    }
    if (count > 1 && sameArrival === count - 1) warn('one-instant', 'all requests arrive at once');
    if (count > 1 && oneToken * 2 > count) {
      warn('one-token', `${oneToken} of ${count} requests make one output token: cut outputs?`);
    }
    return findings;
  }
}

const rules: readonly (readonly [RegExp, string])[] = [
  [/is before the previous/, 'unsorted'],
  [/^arrival must|beyond 104 days/, 'arrival'],
  [/occurs twice/, 'duplicate-id'],
  [/token ids for/, 'ids-length'],
  [/tokens must/, 'tokens'],
  [/prefix parent/, 'prefix-parent'],
  [/^prefix of/, 'prefix-length'],
  [/^after|^thinkNs/, 'dependency'],
];

function ruleOf(message: string): string {
  return rules.find(([pattern]) => pattern.test(message))?.[1] ?? 'invalid';
}
