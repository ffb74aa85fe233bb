/**
 * The feed-forward block of a mixture of experts: how its operators follow one another and what its
 * ranks exchange (vllm.md 8).
 *
 * - Without data parallelism every rank holds all tokens: an all-reduce over TP behind the block,
 *   whether experts are whole (EP) or sliced.
 * - With it, TP ranks first take their part of the tokens (sequence parallel), then hidden states
 *   and router logits of all ranks are gathered, and results scattered back and gathered over TP.
 *   With `all_to_all` only routed tokens travel, once per rank that holds one of their experts.
 */
import { CollectiveType } from '@astrolabe/chakra';
import { dtypeBytes } from '@astrolabe/config';
import type { Chain } from '../chain.js';
import type { Group, StageGroups } from '../groups.js';
import type { Lowering } from '../lower.js';
import { type Operator, profileName } from '../sequences.js';

export interface ExpertSite {
  readonly lowering: Lowering;
  readonly chain: Chain;
  readonly groups: StageGroups;
  /** Which share of the experts this rank holds, when ranks differ; else 0. */
  readonly expertRank: number;
  /** Bytes of one token's hidden state. */
  readonly hiddenBytes: number;
}

export function lowerExperts(site: ExpertSite, prefix: string, layer: number): void {
  const { groups, chain, lowering } = site;
  const { expert, tensor } = groups;
  const name = `${prefix}moe`;
  if (expert !== undefined) dispatch(site, `${name}.dispatch`, expert);
  for (const operator of lowering.sequence.feedForward) {
    chain.compute(`${prefix}${operator.name}`, timeOf(site, operator, layer));
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

function timeOf(site: ExpertSite, operator: Operator, layer: number): number {
  const { quantities, layersDiffer } = site.lowering;
  const at = { rank: site.expertRank, layer: layersDiffer ? layer : 0 };
  const name = profileName(operator);
  if (operator.key === 'moe') return quantities.add({ kind: 'moe', ...at });
  if (operator.key === 'expert') return quantities.add({ kind: 'expert', operator: name, ...at });
  return quantities.add({ kind: 'tokens', operator: name });
}

function dispatch(site: ExpertSite, name: string, group: Group): void {
  const { lowering, chain, hiddenBytes } = site;
  if (lowering.moe.dispatch === 'all_to_all') {
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
  if (lowering.moe.dispatch === 'all_to_all') {
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
