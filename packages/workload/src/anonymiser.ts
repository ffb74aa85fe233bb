/**
 * Takes the text out of a workload and leaves what timing needs: token ids become a prefix tree at
 * block granularity, request and session names become counters, model and class names stay.
 */
import { PrefixIndex } from './prefix-index.js';
import type { Request, RequestId } from './request.js';

export class Anonymiser {
  private readonly index = new PrefixIndex();
  private readonly ids = new Map<string, number>();
  private readonly sessions = new Map<string, string>();
  private readonly blockTokens: number;

  /** @param blockTokens shared content is kept in whole blocks of this size */
  constructor(blockTokens: number) {
    this.blockTokens = blockTokens;
  }

  /** @param request in order; its parent and predecessors were given before */
  apply(request: Request): Request {
    const id = this.ids.size;
    this.ids.set(String(request.id), id);
    const { promptTokenIds, outputTokenIds, session, after, prefix, ...rest } = request;
    const result: Request = { ...rest, id };
    if (session !== undefined) result.session = this.sessionName(session);
    if (after !== undefined) result.after = after.map((other) => this.idOf(other));
    if (promptTokenIds !== undefined) {
      const ids = [...promptTokenIds, ...(outputTokenIds ?? [])];
      const shared = this.index.add(id, this.blocks(ids));
      if (shared !== undefined) {
        result.prefix = { of: shared.of, tokens: shared.blocks * this.blockTokens };
      }
    } else if (prefix !== undefined) {
      result.prefix = { of: this.idOf(prefix.of), tokens: prefix.tokens };
    }
    return result;
  }

  private idOf(id: RequestId): RequestId {
    return this.ids.get(String(id)) ?? id;
  }

  private sessionName(session: string): string {
    let name = this.sessions.get(session);
    if (name === undefined) {
      name = `s${this.sessions.size}`;
      this.sessions.set(session, name);
    }
    return name;
  }

  private *blocks(ids: readonly number[]): Generator<string> {
    for (let start = 0; start + this.blockTokens <= ids.length; start += this.blockTokens) {
      yield ids.slice(start, start + this.blockTokens).join(',');
    }
  }
}
