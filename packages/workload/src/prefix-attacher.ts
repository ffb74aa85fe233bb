/** Turns content hashes of drafts into prefixes of earlier requests, in the order of the workload. */
import type { Draft } from './formats/format.js';
import { PrefixIndex } from './prefix-index.js';
import type { Request, RequestId } from './request.js';

export class PrefixAttacher {
  private readonly index = new PrefixIndex();
  private readonly promptTokens = new Map<RequestId, number>();

  /** The draft's request, with its longest shared prefix if it has hashes and shares any. */
  attach({ request, blocks, blockTokens }: Draft): Request {
    if (blocks === undefined || blockTokens === undefined) return request;
    const shared = this.index.add(request.id, blocks);
    this.promptTokens.set(request.id, request.promptTokens);
    if (shared === undefined) return request;
    // The last block may be partial on either side.
    const tokens = Math.min(
      shared.blocks * blockTokens,
      request.promptTokens,
      this.promptTokens.get(shared.of) ?? 0,
    );
    if (tokens > 0) request.prefix = { of: shared.of, tokens };
    return request;
  }
}
