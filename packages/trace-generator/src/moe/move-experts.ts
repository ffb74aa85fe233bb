/**
 * The exchange of a rearrangement, which blocks the step behind it as vLLM's does without `use_async`.
 * vLLM sends expert by expert between pairs of ranks, layer after layer; here it is one all-to-all of
 * a stage's layers in which every rank moves what each layer's busiest one does.
 */
import { CollectiveType } from '@astrolabe/chakra';
import { isMoeLayer } from '@astrolabe/config';
import type { Chain } from '../chain.js';
import type { StageGroups } from '../groups.js';
import type { Lowering } from '../lower.js';

/** @param layers of the stage */
export function moveExperts(
  { experts, instance, quantities }: Lowering,
  chain: Chain,
  groups: StageGroups,
  layers: readonly number[],
): void {
  const group = groups.expert ?? groups.tensor;
  const moe = layers.filter((layer) => isMoeLayer(instance.model, layer));
  if (experts === undefined || group === undefined || moe.length === 0) return;
  // Of an all-to-all's buffer each of n ranks keeps a part and sends n - 1.
  const ranks = group.npus.length;
  const perExpert = (experts.expertBytes / experts.slices) * (ranks / (ranks - 1));
  const bytes = quantities.add({ kind: 'movedExperts', layers: moe, perExpert });
  chain.collective('experts.rearrange', CollectiveType.allToAll, group, bytes);
}
