/**
 * What requests say, as token ids, for prefix-cache hashing. Given ids win; a prefix tree is resolved
 * to copied ids and fresh ones; a request with neither has no content unless asked. Fresh ids are
 * negative, so they never equal a tokenizer's. Nothing is stored per token: sequences are made on
 * demand from (parent, shared length, first fresh id).
 */
import { UserError } from '@astrolabe/base';
import type { Request } from './request.js';

export interface Content {
  /** Whether the request at this index has content, so that it can share a prefix. */
  has(index: number): boolean;
  /**
   * Ids of prompt then output of the request at this index; undefined without content. A prompt
   * whose output has no ids gets fresh ones there.
   * @throws UserError a request of more than 2^24 tokens; more than 2^31 tokens in all
   */
  sequence(index: number): Int32Array | undefined;
  /** All that there is to content while no request gives ids; undefined if one does. */
  readonly tree: PrefixTree | undefined;
}

/** Of every request its first tokens are its parent's, all others its own. */
export interface PrefixTree {
  /** -1: none. */
  parentOf(index: number): number;
  sharedTokens(index: number): number;
}

/** Blocks from `first` to before `end`, each of which has a token of the owner's own. */
export interface OwnedBlocks {
  readonly owner: number;
  readonly first: number;
  readonly end: number;
}

/**
 * Whose the first blocks of a request are, in their order. Requests with the same blocks name the
 * same owners.
 */
export function ownersOfBlocks(
  tree: PrefixTree,
  index: number,
  numBlocks: number,
  blockSize: number,
): OwnedBlocks[] {
  const owners: OwnedBlocks[] = [];
  let end = numBlocks;
  for (let owner = index; end > 0; owner = tree.parentOf(owner)) {
    const first = Math.floor(tree.sharedTokens(owner) / blockSize);
    if (first >= end) continue;
    owners.push({ owner, first, end });
    end = first;
  }
  return owners.reverse();
}

export interface ContentOptions {
  /** Give requests without ids, prefix and children unique content. Default false. */
  readonly all?: boolean;
}

/**
 * @param requests validated, as `readWorkload` returns them
 * @throws UserError given ids beyond 2^31 distinct tokens
 */
export function materialise(requests: readonly Request[], options: ContentOptions = {}): Content {
  const tree = buildTree(requests, options.all === true);
  const isGiven = requests.some(
    ({ promptTokenIds, outputTokenIds }) =>
      promptTokenIds !== undefined || outputTokenIds !== undefined,
  );
  if (isGiven) refuseTooMany(tree);
  const parentOf = (index: number): number => tree.parent[index];
  const sharedTokens = (index: number): number => sharedOf(requests, tree, index);
  return {
    tree: isGiven ? undefined : { parentOf, sharedTokens },
    has: (index) => tree.hasContent[index] === 1,
    sequence: (index) => {
      refuseTooMany(tree);
      return tree.hasContent[index] === 1 ? resolve(requests, tree, index) : undefined;
    },
  };
}

interface Tree {
  readonly parent: Int32Array;
  /** The fresh id at position p of request i is `-1 - (freshStart[i] + p)`. */
  readonly freshStart: Float64Array;
  readonly hasContent: Uint8Array;
  /** Ids reserved for all requests. */
  numFresh: number;
}

function buildTree(requests: readonly Request[], all: boolean): Tree {
  const indexById = new Map<string, number>();
  const tree: Tree = {
    parent: new Int32Array(requests.length).fill(-1),
    freshStart: new Float64Array(requests.length),
    hasContent: new Uint8Array(requests.length),
    numFresh: 0,
  };
  for (const [index, request] of requests.entries()) {
    indexById.set(String(request.id), index);
    if (all || request.promptTokenIds !== undefined) tree.hasContent[index] = 1;
    if (request.prefix === undefined) continue;
    const parent = indexById.get(String(request.prefix.of));
    if (parent === undefined) {
      throw new UserError(`prefix parent ${request.prefix.of} of request ${request.id} is unknown`);
    }
    tree.parent[index] = parent;
    tree.hasContent[index] = 1;
    tree.hasContent[parent] = 1;
  }
  for (const [index, request] of requests.entries()) {
    tree.freshStart[index] = tree.numFresh;
    if (tree.hasContent[index] === 1) tree.numFresh += request.promptTokens + request.outputTokens;
  }
  return tree;
}

/** Ids are 32 bits. */
function refuseTooMany({ numFresh }: Tree): void {
  if (numFresh <= 2 ** 31) return;
  throw new UserError(`the workload's content has ${numFresh} tokens, more than 2^31`, {
    hint: 'split the workload',
  });
}

function sharedOf(requests: readonly Request[], tree: Tree, index: number): number {
  return tree.parent[index] < 0 ? 0 : (requests[index].prefix?.tokens ?? 0);
}

/** Of one request: beyond any model's context, and its ids are still a line that can be written. */
const mostTokens = 2 ** 24;

/** Per position: given id, else the parent's where shared, else fresh. */
function resolve(requests: readonly Request[], tree: Tree, index: number): Int32Array {
  const own = requests[index];
  const length = own.promptTokens + own.outputTokens;
  if (length > mostTokens) {
    throw new UserError(
      `request ${own.id}: content of ${length} tokens, expected at most ${mostTokens}`,
      { hint: '`workload convert --max-model-len` drops longer requests' },
    );
  }
  const ids = new Int32Array(length);
  // Positions [low, high) are still open; each ancestor settles what it does not share itself.
  let low = 0;
  let high = ids.length;
  for (let at = index; low < high; at = tree.parent[at]) {
    const { promptTokens, promptTokenIds, outputTokenIds } = requests[at];
    const shared = sharedOf(requests, tree, at);
    const start = tree.freshStart[at];
    for (let p = Math.max(low, shared); p < high; p++) ids[p] = -1 - (start + p);
    if (outputTokenIds !== undefined) {
      const from = Math.max(low, promptTokens);
      for (let p = from; p < high; p++) ids[p] = outputTokenIds[p - promptTokens];
      high = Math.min(high, promptTokens);
    }
    if (promptTokenIds !== undefined) {
      const end = Math.min(high, promptTokens);
      for (let p = low; p < end; p++) ids[p] = promptTokenIds[p];
      low = Math.max(low, promptTokens);
    }
    high = Math.min(high, shared);
  }
  return ids;
}
