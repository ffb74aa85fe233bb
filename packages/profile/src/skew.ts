/**
 * Decodes of unequal context take longer than as many at the mean context: the kernel ends with its
 * longest request. The extra time is a share of the way from "all at the mean" to "all at the
 * longest", measured as batches of two context lengths. What decides the share is how many decodes
 * there are (one straggler's extra work against everybody's: it falls like 1/n) and whether a
 * prefill chunk is in the batch (then kernels do not split a context over processors: two decodes
 * wait for the longer one almost fully). So: one share per measured decode count, with and without a
 * chunk, pooled over everything else by least squares on relative errors; between counts linear in
 * log n.
 */
import { type ProfileTable, rowKinds } from './profile-table.js';

/** Measured shares at ascending decode counts. */
export interface SkewPoints {
  readonly decodes: readonly number[];
  readonly share: readonly number[];
}

const tabulated = 1025;

export class SkewShare {
  private readonly alone: Float64Array;
  private readonly mixed: Float64Array;

  constructor(alone: SkewPoints, mixed: SkewPoints) {
    this.alone = tabulate(alone);
    this.mixed = tabulate(mixed);
  }

  /** Share in [0, 1] for this many decodes. */
  at(decodes: number, withChunk: boolean): number {
    const table = withChunk ? this.mixed : this.alone;
    return table[decodes < tabulated ? decodes : tabulated - 1];
  }
}

/** Shares of one TP degree; no points without skew rows. */
export function measureSkew(
  table: ProfileTable,
  tp: number,
): { readonly alone: SkewPoints; readonly mixed: SkewPoints } {
  return { alone: pooled(table, tp, false), mixed: pooled(table, tp, true) };
}

function pooled(table: ProfileTable, tp: number, withChunk: boolean): SkewPoints {
  const skewKind = rowKinds.indexOf('skew');
  const { durationNs, meanDurationNs, maxDurationNs } = table.values;
  const sums = new Map<number, { product: number; square: number }>();
  for (let i = 0; i < table.length; i++) {
    if (table.kind[i] !== skewKind || table.tp[i] !== tp) continue;
    if (table.keys.tokens[i] > 0 !== withChunk) continue;
    const mean = meanDurationNs[i];
    const toLongest = maxDurationNs[i] / mean - 1;
    if (!(toLongest > 0)) continue;
    const n = table.keys.sequences[i];
    const sum = sums.get(n) ?? { product: 0, square: 0 };
    sum.product += toLongest * (durationNs[i] / mean - 1);
    sum.square += toLongest * toLongest;
    sums.set(n, sum);
  }
  const decodes = [...sums.keys()].sort((a, b) => a - b);
  const share = decodes.map((n) => {
    const { product, square } = sums.get(n) as { product: number; square: number };
    return Math.min(1, Math.max(0, product / square));
  });
  return { decodes, share };
}

/** Linear in log n between points; the first and last continue, the last falling like 1/n. */
function tabulate(points: SkewPoints): Float64Array {
  const { decodes, share } = points;
  const table = new Float64Array(tabulated);
  if (decodes.length === 0) return table;
  const last = decodes.length - 1;
  let above = 0;
  for (let n = 2; n < tabulated; n++) {
    while (above <= last && decodes[above] < n) above++;
    if (above === 0) table[n] = share[0];
    else if (above > last) table[n] = (share[last] * decodes[last]) / n;
    else {
      const span = Math.log(decodes[above] / decodes[above - 1]);
      const weight = Math.log(n / decodes[above - 1]) / span;
      table[n] = share[above - 1] + weight * (share[above] - share[above - 1]);
    }
  }
  return table;
}
