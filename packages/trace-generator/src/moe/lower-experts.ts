/**
 * The feed-forward block of a mixture of experts: how its operators follow one another and what its
 * ranks exchange, as vLLM's fused MoE layer with the all2all backend `allgather_reducescatter`.
 *
 * - Without data parallelism every rank holds all tokens: an all-reduce over TP behind the block,
 *   whether experts are whole (EP) or sliced.
 * - With it, TP ranks first take their part of the tokens (sequence parallel), then hidden states
 *   and router logits of all ranks are gathered, and results scattered back and gathered over TP.
 *   With `all_to_all` only routed tokens travel, once per rank that holds one of their experts.
 * - Shared experts come first, on the rank's own tokens. For small batches vLLM has them on a second
 *   stream, from before the dispatch to before the combine. A device computes one operator at a time
 *   here, so they overlap the dispatch but not the routed experts: both draw on the same memory.
 */
import { CollectiveType } from '@astrolabe/chakra';
import { dtypeBytes } from '@astrolabe/config';
import type { Chain } from '../chain.js';
import type { Group, StageGroups } from '../groups.js';
import type { Lowering } from '../lower.js';
import { type Operator, profileName } from '../sequences.js';
import { tierOf } from '../weights.js';

/** vLLM's VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD: larger batches take one stream. */
export const sharedStreamTokens = 256;

export interface ExpertSite {
  readonly lowering: Lowering;
  readonly chain: Chain;
  readonly groups: StageGroups;
  /** Which share of the experts this rank holds, when ranks differ; else 0. */
  readonly expertRank: number;
  readonly sharedBeside: boolean;
  /** Bytes of one token's hidden state. */
  readonly hiddenBytes: number;
  readonly layer: number;
  readonly prefix: string;
  /** Node behind which the layer before starts: prefetched experts are asked for there. */
  readonly ahead: number;
  /** Fetches an operator's weights if they live off the device. @returns the load's node or -1 */
  readonly fetch: (operator: Operator) => number;
}

export function lowerExperts(site: ExpertSite): void {
  const { groups, chain, lowering, prefix } = site;
  const { expert, tensor } = groups;
  const name = `${prefix}moe`;
  const { moe } = lowering.sequence;
  const beside = (operator: Operator): boolean => site.sharedBeside && isShared(operator);
  const before = chain.last;
  for (const operator of moe) {
    if (!isExpert(operator) && !beside(operator)) lowerOperator(site, operator);
  }
  if (expert !== undefined) dispatch(site, `${name}.dispatch`, expert);
  for (const operator of moe) if (isExpert(operator)) lowerOperator(site, operator);
  if (site.sharedBeside) {
    const routed = chain.last;
    chain.last = before;
    for (const operator of moe) if (beside(operator)) lowerOperator(site, operator);
    chain.gather([routed, chain.last]);
  }
  if (expert !== undefined) combine(site, `${name}.combine`, expert);
  if (tensor === undefined) return;
  if (expert === undefined) {
    const bytes = perToken(site, site.hiddenBytes);
    chain.collective(`${name}.all_reduce`, CollectiveType.allReduce, tensor, bytes);
  } else {
    const shard = perToken(site, site.hiddenBytes / tensor.npus.length);
    chain.collective(`${name}.all_gather`, CollectiveType.allGather, tensor, shard);
  }
}

function lowerOperator(site: ExpertSite, operator: Operator): void {
  const { chain, prefix } = site;
  const weights = isExpert(operator) ? fetchExperts(site, operator) : site.fetch(operator);
  const node = chain.compute(`${prefix}${operator.name}`, timeOf(site, operator));
  if (weights >= 0) chain.join(node, weights);
}

function isExpert(operator: Operator): boolean {
  return operator.key === 'moe' || operator.key === 'expert';
}

/** Every token passes it. */
export function isShared(operator: Operator): boolean {
  return operator.when === 'sharedExperts';
}

/** Rank and layer that tell loads apart, where they differ. */
function loadOf(site: ExpertSite): { rank: number; layer: number } {
  const differ = site.lowering.experts?.loads.layersDiffer ?? false;
  return { rank: site.expertRank, layer: differ ? site.layer : 0 };
}

/**
 * Offloaded experts: the active ones that are not cached are fetched, either while the layer before
 * runs (their choice is predicted) or once the gate has decided. One load for the whole block.
 */
function fetchExperts(site: ExpertSite, operator: Operator): number {
  const { lowering, chain } = site;
  const { offload } = lowering.expertOptions;
  if (offload === undefined) return site.fetch(operator);
  const first = lowering.sequence.moe.find(isExpert);
  if (operator !== first) return -1;
  const bytes = lowering.quantities.add({ kind: 'expertBytes', ...loadOf(site) });
  const after = offload.prefetch ? site.ahead : chain.last;
  const { location, device } = tierOf(lowering.instance, offload);
  return chain.load(`${site.prefix}experts.load`, location, device, bytes, after);
}

function timeOf(site: ExpertSite, operator: Operator): number {
  const { quantities } = site.lowering;
  const at = loadOf(site);
  const name = profileName(operator);
  if (operator.key === 'moe') return quantities.add({ kind: 'moe', ...at });
  if (operator.key === 'expert') return quantities.add({ kind: 'expert', operator: name, ...at });
  return quantities.add({ kind: 'tokens', operator: name });
}

function dispatch(site: ExpertSite, name: string, group: Group): void {
  const { lowering, chain, hiddenBytes } = site;
  if (lowering.expertOptions.dispatch === 'all_to_all') {
    chain.collective(name, CollectiveType.allToAll, group, routedBytes(site, group));
    return;
  }
  const { engine, model } = lowering.instance;
  const logits = (model.moe?.numExperts ?? 0) * dtypeBytes[engine.dtype];
  const shard = perGroupToken(site, (hiddenBytes + logits) / group.npus.length);
  chain.collective(name, CollectiveType.allGather, group, shard);
}

function combine(site: ExpertSite, name: string, group: Group): void {
  const { lowering, chain, hiddenBytes } = site;
  if (lowering.expertOptions.dispatch === 'all_to_all') {
    chain.collective(name, CollectiveType.allToAll, group, routedBytes(site, group));
    return;
  }
  const all = perGroupToken(site, hiddenBytes);
  chain.collective(name, CollectiveType.reduceScatter, group, all);
}

/** A rank's share of the tokens, each once for every rank expected to hold one of its experts. */
function routedBytes(site: ExpertSite, group: Group): number {
  const { model, ep } = site.lowering.instance;
  const experts = model.moe?.numExperts ?? 0;
  const copies = distinctRanks(experts, ep, model.moe?.expertsPerToken ?? 0);
  return perGroupToken(site, (copies * site.hiddenBytes) / group.npus.length);
}

/**
 * Of R ranks with E/R experts each, those expected to hold at least one of k different experts:
 * R (1 - C(E - E/R, k) / C(E, k)).
 */
export function distinctRanks(experts: number, ranks: number, picks: number): number {
  const others = experts - experts / ranks;
  let missed = 1;
  for (let i = 0; i < picks; i++) missed *= Math.max(0, others - i) / (experts - i);
  return ranks * (1 - missed);
}

function perToken(site: ExpertSite, bytes: number): number {
  return site.lowering.quantities.add({ kind: 'bytes', perToken: bytes, perSequence: 0 });
}

function perGroupToken(site: ExpertSite, bytes: number): number {
  return site.lowering.quantities.add({ kind: 'groupBytes', perToken: bytes });
}
