/**
 * What a schema cannot see: the rules between requests. Arrivals never go back, ids are unique,
 * prefix parents and predecessors come earlier, token ids match their counts. Streaming: about 4 bytes
 * per request while ids are 0, 1, 2, ...
 */
import { GrowableInt32, UserError } from '@astrolabe/base';
import type { Request, RequestId } from './request.js';

export class RequestChecker {
  private readonly lengths = new GrowableInt32();
  /** Index by id; built only once an id differs from its position. */
  private indexById: Map<string, number> | undefined;
  private lastArrivalNs = 0;

  get count(): number {
    return this.lengths.length;
  }

  /**
   * @param at place of the request, `file:line`
   * @throws UserError naming `at` and the field
   */
  check(request: Request, at: string): void {
    this.checkNumbers(request, at);
    this.checkContent(request, at);
    for (const id of request.after ?? []) this.known(id, 'after', at);
    if (this.indexOf(request.id) !== undefined) {
      throw new UserError(`id ${JSON.stringify(request.id)} occurs twice`, { at });
    }
    this.accept(request);
  }

  private checkNumbers(request: Request, at: string): void {
    const { arrivalNs, promptTokens, outputTokens } = request;
    if (arrivalNs > Number.MAX_SAFE_INTEGER) throw arrivalTooLate(arrivalNs, at);
    if (!Number.isSafeInteger(arrivalNs) || arrivalNs < 0) {
      const counted =
        arrivalNs < 0 ? { hint: 'counted from a later row? see `workload convert --sort`' } : {};
      throw new UserError(`arrival must be an integer >= 0 ns, got ${arrivalNs}`, {
        at,
        ...counted,
      });
    }
    if (arrivalNs < this.lastArrivalNs) {
      throw new UserError(
        `arrival ${arrivalNs} ns is before the previous request's ${this.lastArrivalNs} ns`,
        { at, hint: 'requests must be in order of arrival; `workload convert --sort` sorts them' },
      );
    }
    checkTokens(promptTokens, 'prompt', at);
    checkTokens(outputTokens, 'output', at);
    const { thinkNs } = request;
    if (thinkNs === undefined) return;
    if (!Number.isSafeInteger(thinkNs) || thinkNs < 0) {
      throw new UserError(
        `thinkNs: expected an integer of 0 to 2^53 ns (104 days), got ${thinkNs}`,
        {
          at,
        },
      );
    }
    if ((request.after ?? []).length === 0) {
      throw new UserError('thinkNs without after: there is nothing to wait for', { at });
    }
  }

  private checkContent(request: Request, at: string): void {
    checkIds(request.promptTokenIds, request.promptTokens, 'prompt', at);
    checkIds(request.outputTokenIds, request.outputTokens, 'output', at);
    const prefix = request.prefix;
    if (prefix === undefined) return;
    const parentLength = this.lengths.data[this.known(prefix.of, 'prefix parent', at)];
    if (prefix.tokens > parentLength) {
      throw new UserError(
        `prefix of ${prefix.tokens} tokens is longer than its parent ${prefix.of} ` +
          `(${parentLength} tokens of prompt and output)`,
        { at },
      );
    }
    const ownLength = request.promptTokens + request.outputTokens;
    if (prefix.tokens > ownLength) {
      throw new UserError(
        `prefix of ${prefix.tokens} tokens is longer than the request itself (${ownLength} tokens)`,
        { at },
      );
    }
  }

  private indexOf(id: RequestId): number | undefined {
    if (this.indexById !== undefined) return this.indexById.get(String(id));
    const index = Number(id);
    return index >= 0 && index < this.count && String(index) === String(id) ? index : undefined;
  }

  private known(id: RequestId, what: string, at: string): number {
    const index = this.indexOf(id);
    if (index !== undefined) return index;
    throw new UserError(`${what} ${JSON.stringify(id)} is not the id of an earlier request`, {
      at,
    });
  }

  /** Counts a request without checking it, so that later ones may refer to it. */
  accept(request: Request): void {
    const index = this.count;
    if (this.indexById === undefined && String(request.id) !== String(index)) {
      this.indexById = new Map();
      for (let i = 0; i < index; i++) this.indexById.set(String(i), i);
    }
    this.indexById?.set(String(request.id), index);
    this.lengths.push(request.promptTokens + request.outputTokens);
    this.lastArrivalNs = Math.max(this.lastArrivalNs, request.arrivalNs);
  }
}

export function arrivalTooLate(arrivalNs: number | string, at: string): UserError {
  return new UserError(`arrival ${arrivalNs} ns is beyond 104 days`, {
    at,
    hint: 'counted from an epoch? `workload convert --start-at-zero` shifts arrivals',
  });
}

export const mostTokens = 0x3fffffff;

function checkTokens(tokens: number, what: string, at: string): void {
  if (Number.isSafeInteger(tokens) && tokens >= 1 && tokens <= mostTokens) return;
  throw new UserError(`${what} tokens must be an integer of 1 to ${mostTokens}, got ${tokens}`, {
    at,
  });
}

function checkIds(
  ids: readonly number[] | undefined,
  tokens: number,
  what: string,
  at: string,
): void {
  if (ids === undefined || ids.length === tokens) return;
  throw new UserError(`${ids.length} ${what} token ids for ${tokens} ${what} tokens`, { at });
}
