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
 * Bytes that one of `n` members sends. Of D bytes: an all-gather's share is D itself, n - 1 times;
 * the others send D / n so many times as the phase has sends (`sendsOf` in phase.ts: 2 (n - 1) for an
 * all-reduce, n (n - 1) / 2 for an all-to-all on a ring). In a tree all of D goes over each link.
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
