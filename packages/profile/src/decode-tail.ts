/**
 * Decodes of unequal context end with their longest. A decode kernel that does not split contexts
 * gives every request (and KV head) to one processor, which streams its KV cache no faster than so
 * many bytes a second, however idle the rest of the device has become. As long as enough requests are
 * left to saturate memory the batch takes what its bytes take; when only the longest are left it waits
 * for them. With N(L) requests longer than L and S of them saturating memory, the time per token of
 * context is max(N(L), S) instead of N(L), so a batch takes as long as one with
 *
 *   sum over L of max(0, S - N(L)) = sum over the S longest of (longest - length)
 *
 * tokens more. S is measured: profiles time batches of b long and n - b short contexts beside n at
 * their mean and n at the longest, and of the way from mean to longest a batch then goes the share
 * max(0, S - b) / (n - b). With few requests kernels split contexts and S comes out near 0; beside a
 * prefill chunk they never do. So: one S per measured decode count, with and without a chunk, by least
 * squares on times; between counts linear in log n.
 *
 * What is measured agrees with what the kernel is: on an RTX PRO 6000 S is 8.7 with 8 KV heads a rank,
 * 16.8 with 4 and 21 with 2, and 1 wherever requests times KV heads stay below 1.6 a processor, which is
 * FlashAttention's limit for splitting.
 */
import { type ProfileTable, rowKinds } from './profile-table.js';

/** Measured S at ascending decode counts. */
export interface TailPoints {
  readonly decodes: readonly number[];
  readonly saturating: readonly number[];
}

const tabulated = 1025;
/** More never saturate: the S longest are looked for in every batch. */
const mostSaturating = 64;

export class DecodeTail {
  private readonly alone: Float64Array;
  private readonly mixed: Float64Array;
  /** Of the last `share` above 0. */
  longestContext = 0;
  private readonly longest = new Float64Array(mostSaturating);

  constructor(alone: TailPoints, mixed: TailPoints) {
    this.alone = tabulate(alone);
    this.mixed = tabulate(mixed);
  }

  /** S for this many decodes. */
  saturating(decodes: number, withChunk: boolean): number {
    const table = withChunk ? this.mixed : this.alone;
    return table[decodes < tabulated ? decodes : tabulated - 1];
  }

  /**
   * What the wait adds, as a share of the way from all decodes at their mean to all at the longest
   * (then in `longestContext`); 0 where nobody waits.
   */
  share(contexts: ArrayLike<number>, decodes: number, withChunk: boolean): number {
    const saturating = this.saturating(decodes, withChunk);
    const whole = Math.min(decodes, Math.ceil(saturating));
    if (whole < 2) return 0;
    const { longest } = this;
    selectLongest(contexts, decodes, whole, longest);
    this.longestContext = longest[0];
    let waitTokens = 0;
    for (let j = 1; j < whole; j++) {
      // The last of them may count in part: S need not be whole.
      waitTokens += (longest[j - 1] - longest[j]) * (saturating - j);
    }
    if (waitTokens === 0) return 0;
    let wayTokens = 0;
    for (let i = 0; i < decodes; i++) wayTokens += longest[0] - contexts[i];
    return Math.min(1, waitTokens / wayTokens);
  }
}

/** The `count` largest of `contexts` in descending order, by insertion. */
function selectLongest(
  contexts: ArrayLike<number>,
  length: number,
  count: number,
  into: Float64Array,
): void {
  let known = 0;
  for (let i = 0; i < length; i++) {
    const context = contexts[i];
    if (known === count && context <= into[count - 1]) continue;
    let at = known < count ? known++ : count - 1;
    while (at > 0 && into[at - 1] < context) {
      into[at] = into[at - 1];
      at--;
    }
    into[at] = context;
  }
}

/** S of one TP degree; no points without skew rows. */
export function measureTail(
  table: ProfileTable,
  tp: number,
): { readonly alone: TailPoints; readonly mixed: TailPoints } {
  return { alone: fitPoints(table, tp, false), mixed: fitPoints(table, tp, true) };
}

/** One measured batch: `long` of its decodes at the longest context. */
interface Shot {
  readonly long: number;
  /** From all at the mean to all at the longest; what was measured of it. */
  readonly wayNs: number;
  readonly extraNs: number;
}

function fitPoints(table: ProfileTable, tp: number, withChunk: boolean): TailPoints {
  const shots = new Map<number, Shot[]>();
  const skewKind = rowKinds.indexOf('skew');
  const { keys, values } = table;
  for (let i = 0; i < table.length; i++) {
    if (table.kind[i] !== skewKind || table.tp[i] !== tp) continue;
    if (keys.tokens[i] > 0 !== withChunk) continue;
    const n = keys.sequences[i];
    const least = keys.decodeContextMin[i];
    const spread = keys.decodeContextMax[i] - least;
    const wayNs = values.maxDurationNs[i] - values.meanDurationNs[i];
    const long = Math.round((n * (keys.decodeContextTokens[i] - least)) / spread);
    if (!(spread > 0 && wayNs > 0) || long < 1 || long >= n) continue;
    const list = shots.get(n) ?? [];
    list.push({ long, wayNs, extraNs: values.durationNs[i] - values.meanDurationNs[i] });
    shots.set(n, list);
  }
  const decodes = [...shots.keys()].sort((a, b) => a - b);
  return { decodes, saturating: decodes.map((n) => fitSaturating(n, shots.get(n) ?? [])) };
}

/**
 * Least squares of extra = way max(0, S - long) / (n - long) over S. Between two counts of long
 * requests the sum of squares is a parabola in S, so the best S is at one of their lowest points.
 */
function fitSaturating(n: number, shots: readonly Shot[]): number {
  const counts = [...new Set(shots.map((shot) => shot.long))].sort((a, b) => a - b);
  let best = 0;
  let least = squares(n, shots, 0);
  for (const [i, count] of counts.entries()) {
    const upper = counts[i + 1] ?? n;
    let product = 0;
    let square = 0;
    for (const { long, wayNs, extraNs } of shots) {
      if (long > count) continue;
      const slope = wayNs / (n - long);
      product += slope * (extraNs + slope * long);
      square += slope * slope;
    }
    const saturating = Math.min(upper, mostSaturating, Math.max(count, product / square));
    const error = squares(n, shots, saturating);
    if (error < least) {
      best = saturating;
      least = error;
    }
  }
  return best;
}

function squares(n: number, shots: readonly Shot[], saturating: number): number {
  let sum = 0;
  for (const { long, wayNs, extraNs } of shots) {
    const expected = (wayNs * Math.max(0, saturating - long)) / (n - long);
    sum += (expected - extraNs) ** 2;
  }
  return sum;
}

/** Linear in log n between points; the first and last continue. */
function tabulate(points: TailPoints): Float64Array {
  const { decodes, saturating } = points;
  const table = new Float64Array(tabulated);
  if (decodes.length === 0) return table;
  const last = decodes.length - 1;
  let above = 0;
  for (let n = 2; n < tabulated; n++) {
    while (above <= last && decodes[above] < n) above++;
    if (above === 0) table[n] = saturating[0];
    else if (above > last) table[n] = saturating[last];
    else {
      const span = Math.log(decodes[above] / decodes[above - 1]);
      const weight = Math.log(n / decodes[above - 1]) / span;
      table[n] = saturating[above - 1] + weight * (saturating[above] - saturating[above - 1]);
    }
  }
  return table;
}
