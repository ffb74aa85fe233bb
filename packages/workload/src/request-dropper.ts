/**
 * Leaves requests out and keeps the rest whole: children of a dropped request share what it shared
 * itself, and wait for what it waited for.
 */
import type { Request } from './request.js';

export class RequestDropper {
  private readonly dropped = new Map<string, Request>();

  get count(): number {
    return this.dropped.size;
  }

  drop(request: Request): void {
    this.dropped.set(String(request.id), this.mend(request));
  }

  /** The request without references to dropped ones. */
  mend(request: Request): Request {
    if (this.dropped.size === 0) return request;
    const parent = request.prefix && this.dropped.get(String(request.prefix.of));
    if (parent !== undefined && request.prefix !== undefined) {
      const tokens = Math.min(request.prefix.tokens, parent.prefix?.tokens ?? 0);
      if (parent.prefix === undefined) delete request.prefix;
      else request.prefix = { of: parent.prefix.of, tokens };
    }
    if (request.after === undefined) return request;
    const after = request.after.flatMap((id) => {
      const gone = this.dropped.get(String(id));
      return gone === undefined ? [id] : (gone.after ?? []);
    });
    if (after.length > 0) request.after = [...new Set(after)];
    else {
      delete request.after;
      delete request.thinkNs;
    }
    return request;
  }
}
