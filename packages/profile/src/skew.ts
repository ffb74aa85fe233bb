/**
 * Decodes of unequal context take longer than as many at the mean context: the kernel ends with its
 * longest request. Measured as batches of two context lengths; the extra time is given as a share of
 * the way from "all at the mean" to "all at the longest", pooled over the measured batches by least
 * squares on times, so that long batches, where the time goes, decide. (Least squares on relative
 * errors weighs tiny batches equally and overstates the share two- to threefold on the RTX 4090.)
 */
import { type ProfileTable, rowKinds } from './profile-table.js';

/** Share of the difference between longest and mean that an uneven batch costs, in [0, 1]. */
export interface SkewShare {
  at(decodes: number, meanContext: number, maxContext: number): number;
}

/** @returns zero without skew rows at that TP degree */
export function skewShare(table: ProfileTable, tp: number): SkewShare {
  const skewKind = rowKinds.indexOf('skew');
  const { durationNs, meanDurationNs, maxDurationNs } = table.values;
  let product = 0;
  let square = 0;
  for (let i = 0; i < table.length; i++) {
    if (table.kind[i] !== skewKind || table.tp[i] !== tp) continue;
    const mean = meanDurationNs[i];
    const toLongest = maxDurationNs[i] - mean;
    const measured = durationNs[i] - mean;
    if (!(toLongest > 0)) continue;
    product += toLongest * measured;
    square += toLongest * toLongest;
  }
  const share = square === 0 ? 0 : Math.min(1, Math.max(0, product / square));
  return { at: () => share };
}
