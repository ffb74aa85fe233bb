/**
 * Decodes of unequal context take longer than as many of their mean. A decode kernel gives every
 * request (and KV head) to one processor, which streams its KV cache no faster than so many bytes a
 * second, however idle the rest of the device has become: when only the longest are left, the batch
 * waits for them. Beside a prefill chunk, where kernels read the cache once per query head, it also
 * loses what equal requests share in the cache of the device.
 *
 * Profiles measure it: batches of b long and n - b short contexts, beside n at their mean and n at the
 * longest. Of the way from mean to longest such a batch goes the share a(b). The way is n - b tokens for
 * every token that the long ones are longer by, so w(b) = a(b) (n - b) is what is waited per such token
 * while b requests are left, in requests that could have been served meanwhile. A batch of any lengths
 * waits, while N(L) requests are longer than L, like one with N(L) long ones:
 *
 *   share = sum over L of w(N(L)) / sum over L of (n - N(L)),
 *
 * and the divisor is the way itself in tokens: the sum of (longest - length). With two lengths that is
 * a(b) again, by construction. a is measured per decode count and chunk length, by least squares on
 * relative times. w hardly depends on how many began (6.6 requests for the last one of 32 and of 64 on an
 * RTX 4090), so between measured counts it is taken at the same number left, linear in the logarithms
 * of count, number left and chunk length.
 *
 * Alone, nothing is lost while kernels split contexts over processors: FlashAttention 2 does where
 * requests times KV heads stay below 1.6 a processor. Counts on either side of that limit say nothing
 * about the other side.
 */
import { interpolate } from '@astrolabe/base';
import { type ProfileTable, rowKinds } from './profile-table.js';

/** Shares of the way, for batches of `decodes` beside a chunk of `chunkTokens` (0: none). */
export interface TailPoints {
  readonly chunkTokens: number;
  readonly decodes: number;
  /** Requests at the longest context, ascending, 1 to `decodes` - 1. */
  readonly longest: readonly number[];
  /** Of the way from all at the mean to all at the longest, 0 to 1 each. */
  readonly share: readonly number[];
}

/** The waits of one decode count, ascending in the number of requests left. */
interface Count {
  readonly decodes: number;
  /** Largest measured number. */
  readonly last: number;
  readonly logLeft: Float64Array;
  readonly wait: Float64Array;
}

/** Those of one chunk length, ascending in decodes, and what they make of other counts. */
interface Chunk {
  readonly logTokens: number;
  readonly counts: readonly Count[];
  /** Counts below this one split contexts. */
  readonly splitsBelow: number;
  /** By decode count, then requests left. */
  readonly waits: Map<number, Float64Array>;
}

export class DecodeTail {
  private readonly alone: Chunk | undefined;
  /** Ascending in chunk length. */
  private readonly mixed: readonly Chunk[];
  /** Of the last `share` above 0. */
  longestContext = 0;
  private sorted = new Float64Array(256);

  /**
   * @param points any order; empty: nobody waits
   * @param splitsBelow decodes below which kernels split contexts, where that is known
   */
  constructor(points: readonly TailPoints[], splitsBelow = 0) {
    const chunks = [...new Set(points.map(({ chunkTokens }) => chunkTokens))]
      .sort((a, b) => a - b)
      .map((chunkTokens) => ({
        logTokens: Math.log(chunkTokens),
        counts: points
          .filter((one) => one.chunkTokens === chunkTokens)
          .sort((a, b) => a.decodes - b.decodes)
          .map(({ decodes, longest, share }) => ({
            decodes,
            last: longest[longest.length - 1],
            logLeft: Float64Array.from(longest, (left) => Math.log(left)),
            wait: Float64Array.from(share, (part, i) => part * (decodes - longest[i])),
          })),
        splitsBelow: chunkTokens === 0 ? splitsBelow : 0,
        waits: new Map<number, Float64Array>(),
      }));
    this.alone = chunks.find(({ logTokens }) => logTokens === -Infinity);
    this.mixed = chunks.filter((chunk) => chunk !== this.alone);
  }

  /**
   * What the wait adds, as a share of the way from all decodes at their mean to all at the longest
   * (then in `longestContext`); 0 where nobody waits.
   * @param contexts tokens; the first `decodes` of them count
   * @param chunkTokens of the prefill chunk beside them, 0 without
   */
  share(contexts: ArrayLike<number>, decodes: number, chunkTokens: number): number {
    const { alone, mixed } = this;
    if (chunkTokens === 0) {
      return alone === undefined ? 0 : this.between(contexts, decodes, alone, alone, 0);
    }
    if (mixed.length === 0) return 0;
    const at = Math.log(chunkTokens);
    let above = 0;
    while (above < mixed.length - 1 && mixed[above].logTokens < at) above++;
    const upper = mixed[above];
    if (above === 0 || at >= upper.logTokens) {
      return this.between(contexts, decodes, upper, upper, 0);
    }
    const lower = mixed[above - 1];
    const weight = (at - lower.logTokens) / (upper.logTokens - lower.logTokens);
    return this.between(contexts, decodes, lower, upper, weight);
  }

  private between(
    contexts: ArrayLike<number>,
    decodes: number,
    lower: Chunk,
    upper: Chunk,
    weight: number,
  ): number {
    const low = waitsOf(lower, decodes);
    const high = waitsOf(upper, decodes);
    const sorted = this.sort(contexts, decodes);
    let waitTokens = 0;
    let wayTokens = 0;
    for (let left = 1; left < decodes; left++) {
      const step = sorted[decodes - left] - sorted[decodes - left - 1];
      if (step === 0) continue;
      waitTokens += step * (low[left] + weight * (high[left] - low[left]));
      wayTokens += step * (decodes - left);
    }
    if (waitTokens === 0) return 0;
    this.longestContext = sorted[decodes - 1];
    return waitTokens / wayTokens;
  }

  private sort(contexts: ArrayLike<number>, decodes: number): Float64Array {
    if (this.sorted.length < decodes) this.sorted = new Float64Array(2 * decodes);
    const { sorted } = this;
    for (let i = 0; i < decodes; i++) sorted[i] = contexts[i];
    sorted.subarray(0, decodes).sort();
    return sorted;
  }
}

/** Counts whose waits are kept; a batch of more works them out each time. */
const mostKept = 1024;

function waitsOf(chunk: Chunk, decodes: number): Float64Array {
  const known = chunk.waits.get(decodes);
  if (known !== undefined) return known;
  const counts = countsLike(chunk, decodes);
  let above = 0;
  while (above < counts.length - 1 && counts[above].decodes < decodes) above++;
  const upper = counts[above];
  const lower = counts[Math.max(0, above - 1)];
  const span = Math.log(upper.decodes / lower.decodes);
  const beyond = span === 0 ? 1 : Math.log(decodes / lower.decodes) / span;
  const weight = Math.min(1, Math.max(0, beyond));
  const made = new Float64Array(decodes);
  for (let left = 1; left < decodes; left++) {
    const low = waitOf(lower, left);
    const wait = low + weight * (waitOf(upper, left) - low);
    // Nobody waits longer than as if all were the longest.
    made[left] = Math.min(decodes - left, wait);
  }
  if (decodes <= mostKept) chunk.waits.set(decodes, made);
  return made;
}

/** The measured counts on the same side of the limit; all where there are none. */
function countsLike({ counts, splitsBelow }: Chunk, decodes: number): readonly Count[] {
  const alike = counts.filter((one) => one.decodes < splitsBelow === decodes < splitsBelow);
  return alike.length === 0 ? counts : alike;
}

/** Before the first measured number its wait holds, behind the last its share: with all left it is 0. */
function waitOf({ decodes, last, logLeft, wait }: Count, left: number): number {
  if (left >= decodes) return 0;
  if (left <= last) return interpolate(logLeft, wait, Math.log(left));
  return (wait[wait.length - 1] * (decodes - left)) / (decodes - last);
}

/** Sums of one kind of measured batch: a = product / square. */
interface Fit {
  product: number;
  square: number;
}

/** A measured batch: `long` of `decodes` at the longest context, the others at the least. */
export interface SkewShot {
  readonly chunkTokens: number;
  readonly decodes: number;
  readonly long: number;
  readonly leastContext: number;
  readonly longestContext: number;
  /** From all at the mean to all at the longest, as a share of the batch's time. */
  readonly way: number;
  /** What was measured of it, likewise. */
  readonly extra: number;
}

/** The skew rows of one TP degree that tell anything. */
export function skewShots(table: ProfileTable, tp: number): SkewShot[] {
  const shots: SkewShot[] = [];
  const skewKind = rowKinds.indexOf('skew');
  const { keys, values } = table;
  for (let i = 0; i < table.length; i++) {
    if (table.kind[i] !== skewKind || table.tp[i] !== tp) continue;
    const decodes = keys.sequences[i];
    const leastContext = keys.decodeContextMin[i];
    const longestContext = keys.decodeContextMax[i];
    const spread = longestContext - leastContext;
    const timeNs = values.durationNs[i];
    const way = (values.maxDurationNs[i] - values.meanDurationNs[i]) / timeNs;
    const extra = 1 - values.meanDurationNs[i] / timeNs;
    const long = Math.round((decodes * (keys.decodeContextTokens[i] - leastContext)) / spread);
    if (!(spread > 0 && way > 0) || long < 1 || long >= decodes) continue;
    const chunkTokens = Math.max(0, keys.tokens[i]);
    shots.push({ chunkTokens, decodes, long, leastContext, longestContext, way, extra });
  }
  return shots;
}

/** What measured batches say, by least squares on relative times. */
export function measureTail(shots: readonly SkewShot[]): TailPoints[] {
  const fits = new Map<number, Map<number, Map<number, Fit>>>();
  for (const { chunkTokens, decodes, long, way, extra } of shots) {
    const ofChunk = entry(fits, chunkTokens, () => new Map<number, Map<number, Fit>>());
    const ofCount = entry(ofChunk, decodes, () => new Map<number, Fit>());
    const fit = entry(ofCount, long, () => ({ product: 0, square: 0 }));
    fit.product += way * extra;
    fit.square += way * way;
  }
  return [...fits].flatMap(([chunkTokens, ofChunk]) =>
    [...ofChunk].map(([decodes, ofCount]) => {
      const ascending = [...ofCount].sort(([a], [b]) => a - b);
      return {
        chunkTokens,
        decodes,
        longest: ascending.map(([long]) => long),
        share: ascending.map(([, { product, square }]) =>
          Math.min(1, Math.max(0, product / square)),
        ),
      };
    }),
  );
}

function entry<Value>(map: Map<number, Value>, key: number, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
