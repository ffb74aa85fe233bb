/** A workload in numbers: rate, burstiness, lengths, and how much a prefix cache could save at most. */
import { type Distribution, distribution, nsPerS } from '@astrolabe/base';
import { type Content, materialise, ownersOfBlocks, type PrefixTree } from './content.js';
import type { Request } from './request.js';

export interface WorkloadStatistics {
  readonly requests: number;
  readonly sessions: number;
  /** Requests that wait for others. */
  readonly dependentRequests: number;
  readonly firstArrivalS: number;
  readonly lastArrivalS: number;
  /** Arrivals of requests that wait for no other, per second of their span. */
  readonly ratePerS: number | undefined;
  /** Standard deviation over mean of the gaps between those arrivals; 1 is Poisson. */
  readonly gapCv: number | undefined;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly prompt: Distribution | undefined;
  readonly output: Distribution | undefined;
  readonly requestsWithContent: number;
  /** Prompt tokens in whole blocks already seen in earlier prompts or outputs. */
  readonly sharedPromptTokens: number;
}

/** @param blockTokens size of a prefix-cache block */
export function statistics(requests: readonly Request[], blockTokens = 16): WorkloadStatistics {
  const free = requests.filter((request) => (request.after ?? []).length === 0);
  const gaps = free.slice(1).map((request, i) => request.arrivalNs - free[i].arrivalNs);
  const spanS = gaps.reduce((sum, gap) => sum + gap, 0) / nsPerS;
  const prompts = requests.map((request) => request.promptTokens);
  const outputs = requests.map((request) => request.outputTokens);
  const last = requests.reduce((max, request) => Math.max(max, request.arrivalNs), 0);
  return {
    requests: requests.length,
    sessions: new Set(requests.flatMap((request) => request.session ?? [])).size,
    dependentRequests: requests.length - free.length,
    firstArrivalS: (requests[0]?.arrivalNs ?? 0) / nsPerS,
    lastArrivalS: last / nsPerS,
    ratePerS: spanS > 0 ? gaps.length / spanS : undefined,
    gapCv: spanS > 0 ? variation(gaps) : undefined,
    promptTokens: sum(prompts),
    outputTokens: sum(outputs),
    prompt: distribution(prompts),
    output: distribution(outputs),
    ...sharing(requests, blockTokens),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function variation(values: readonly number[]): number {
  const mean = sum(values) / values.length;
  const variance = sum(values.map((value) => (value - mean) ** 2)) / values.length;
  return Math.sqrt(variance) / mean;
}

type Sharing = Pick<WorkloadStatistics, 'requestsWithContent' | 'sharedPromptTokens'>;

function sharing(requests: readonly Request[], blockTokens: number): Sharing {
  const content = materialise(requests);
  return content.tree === undefined
    ? sharingByTokens(requests, content, blockTokens)
    : sharingByDescent(requests, content, content.tree, blockTokens);
}

/** The same without a look at any token: of every owner's blocks the first so many have been seen. */
function sharingByDescent(
  requests: readonly Request[],
  content: Content,
  tree: PrefixTree,
  blockTokens: number,
): Sharing {
  const blocksIn = (tokens: number): number => Math.floor(tokens / blockTokens);
  /** Of each owner where those that were seen end. */
  const seen = new Int32Array(requests.length);
  let requestsWithContent = 0;
  let sharedBlocks = 0;
  for (const [index, { promptTokens, outputTokens }] of requests.entries()) {
    if (!content.has(index)) continue;
    requestsWithContent++;
    let known = 0;
    const numBlocks = blocksIn(promptTokens + outputTokens);
    for (const { owner, first, end } of ownersOfBlocks(tree, index, numBlocks, blockTokens)) {
      if (known === first) known = Math.max(first, Math.min(end, seen[owner]));
      seen[owner] = Math.max(seen[owner], end);
    }
    sharedBlocks += Math.min(known, blocksIn(promptTokens));
  }
  return { requestsWithContent, sharedPromptTokens: sharedBlocks * blockTokens };
}

function sharingByTokens(
  requests: readonly Request[],
  content: Content,
  blockTokens: number,
): Sharing {
  // A trie of blocks: key is the parent node and the block's ids.
  const nodes = new Map<string, number>();
  let requestsWithContent = 0;
  let sharedPromptTokens = 0;
  for (const [index, request] of requests.entries()) {
    const ids = content.sequence(index);
    if (ids === undefined) continue;
    requestsWithContent++;
    let node = 0;
    let hit = true;
    for (let start = 0; start + blockTokens <= ids.length; start += blockTokens) {
      const key = `${node}:${ids.subarray(start, start + blockTokens).join(',')}`;
      const known = nodes.get(key);
      hit &&= known !== undefined && start + blockTokens <= request.promptTokens;
      if (hit) sharedPromptTokens += blockTokens;
      node = known ?? nodes.size + 1;
      if (known === undefined) nodes.set(key, node);
    }
  }
  return { requestsWithContent, sharedPromptTokens };
}
