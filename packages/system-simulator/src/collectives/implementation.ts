/**
 * What an implementation's name means, and how many bytes each member sends with it. Names as in
 * ASTRA-sim's system file. Sizes bytes.
 */
import type { CollectiveImplementations, Implementation } from '../machine-spec.js';
import { type Algorithm, CollectiveKind } from './phase.js';
import { binaryTree } from './tree.js';

export interface Plan {
  readonly algorithm: Algorithm;
  /** Of `direct`: messages under way at once; Infinity for no limit. */
  readonly window: number;
}

export function plansOf(names: CollectiveImplementations): Readonly<Record<CollectiveKind, Plan>> {
  return {
    [CollectiveKind.allReduce]: planOf(names.allReduce),
    [CollectiveKind.allGather]: planOf(names.allGather),
    [CollectiveKind.reduceScatter]: planOf(names.reduceScatter),
    [CollectiveKind.allToAll]: planOf(names.allToAll),
  };
}

function planOf(name: Implementation): Plan {
  const direct = /^direct(\d*)$/.exec(name);
  if (direct === null) return { algorithm: name as Algorithm, window: Number.POSITIVE_INFINITY };
  const window = direct[1] === '' ? Number.POSITIVE_INFINITY : Number(direct[1]);
  return { algorithm: 'direct', window };
}

/**
 * Bytes that one of `n` members sends of D bytes: an all-gather's D are its own share, which goes to
 * all others; 2 (n - 1) / n D in an all-reduce, half of that to scatter or exchange, whatever the
 * algorithm, but n (n - 1) / 2 pieces on a ring that passes an all-to-all on hop by hop, and all of D
 * over each link of a tree.
 * @param index position of the member
 */
export function memberBytes(
  algorithm: Algorithm,
  kind: CollectiveKind,
  n: number,
  index: number,
  sizeBytes: number,
): number {
  if (n === 1) return 0;
  if (algorithm === 'doubleBinaryTree') {
    const node = binaryTree(n, true)[index];
    const links = +(node.parent >= 0) + +(node.left >= 0) + +(node.right >= 0);
    return links * sizeBytes;
  }
  if (kind === CollectiveKind.allGather) return (n - 1) * sizeBytes;
  const share = sizeBytes / n;
  if (kind === CollectiveKind.allReduce) return 2 * (n - 1) * share;
  const ringAllToAll = kind === CollectiveKind.allToAll && algorithm === 'ring';
  return (ringAllToAll ? (n * (n - 1)) / 2 : n - 1) * share;
}
