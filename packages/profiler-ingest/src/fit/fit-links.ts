/**
 * One latency and one bandwidth for a measured collective: least squares on relative error, every
 * doubling of size counting alike however many sizes were measured in it. The figures are those of
 * the machine's own model, so that they can stand in a cluster file:
 *
 *   time = rounds (latency + bytes a round / bandwidth) + endpoints x 10 ns + reductions
 *
 * ring all-reduce: 2 (n - 1) rounds of size / n; a reduction is three passes over device memory, as
 * ASTRA-sim counts it (rounds: Thakur, Rabenseifner, Gropp 2005, 4.5). One-shot all-reduce: everybody
 * reads everything of everybody at once and adds as it reads, as engines do with small messages; the
 * machine does not run it. Times ns, sizes bytes, bandwidth GB/s of 2^30.
 */
import { bytesPerGiB, nsPerS, quantileSorted } from '@astrolabe/base';
import { SizeCurve } from '@astrolabe/config';
import type { CollectiveCurve } from '@astrolabe/profile';

/** What the machine of a cluster file adds to every packet of a collective. */
const endpointNs = 10;
/** Mean error above which a decade of sizes is not described by the line. */
const fitsWithin = 0.15;

export interface LinkShape {
  readonly name: string;
  readonly rounds: number;
  /** Share of the size that one round sends. */
  readonly share: number;
  readonly endpoints: number;
  /** Times the size that is reduced, one after another. */
  readonly reduced: number;
}

export interface LinkFit {
  readonly shape: LinkShape;
  readonly latencyNs: number;
  /** Infinity: the rest of the time, latency and reductions, is already longer. */
  readonly bandwidthGBps: number;
  readonly decades: readonly Decade[];
}

/** Sizes from 10^exponent up to ten times as much. */
export interface Decade {
  readonly exponent: number;
  readonly points: number;
  readonly meanAbsError: number;
  readonly bias: number;
  readonly measuredNs: number;
  readonly fittedNs: number;
  readonly fits: boolean;
}

/** How the machine runs it; the ways that a library might, too. Empty: unknown. */
export function linkShapes(operator: string, n: number): LinkShape[] {
  const ring = (name: string, rounds: number, share: number, reductions: number): LinkShape => ({
    name,
    rounds,
    share,
    endpoints: rounds + 1,
    reduced: reductions * share,
  });
  switch (operator) {
    case 'all_reduce':
      return [
        ring('ring', 2 * (n - 1), 1 / n, n - 1),
        { name: 'one-shot', rounds: 1, share: 1, endpoints: 0, reduced: 0 },
      ];
    case 'all_gather':
      return [ring('ring', n - 1, 1, 0)];
    case 'reduce_scatter':
      return [ring('ring', n - 1, 1 / n, n - 1)];
    case 'all_to_all':
      return [{ name: 'direct', rounds: 1, share: 1 / n, endpoints: 2, reduced: 0 }];
    case 'send_recv':
      return [{ name: 'message', rounds: 1, share: 1, endpoints: 0, reduced: 0 }];
    default:
      return [];
  }
}

/** @param memoryGBps of 10^9, what reductions read and write; 0: they are free */
export function fitLink({ curve }: CollectiveCurve, shape: LinkShape, memoryGBps: number): LinkFit {
  const { sizesBytes, timesNs } = curve;
  const perByte = memoryGBps > 0 ? (3 * shape.reduced) / memoryGBps : 0;
  const known = (size: number): number => shape.endpoints * endpointNs + perByte * size;
  const weights = octaveWeights(sizesBytes);
  // Relative error: both columns and the target over the measured time.
  const sums = { ll: 0, lb: 0, bb: 0, lt: 0, bt: 0 };
  for (let i = 0; i < sizesBytes.length; i++) {
    const time = timesNs[i];
    const l = shape.rounds / time;
    const b = (shape.rounds * shape.share * sizesBytes[i]) / time;
    const t = (time - known(sizesBytes[i])) / time;
    const w = weights[i];
    sums.ll += w * l * l;
    sums.lb += w * l * b;
    sums.bb += w * b * b;
    sums.lt += w * l * t;
    sums.bt += w * b * t;
  }
  const [latencyNs, nsPerByte] = nonNegative(sums);
  const fitted = (size: number): number =>
    known(size) + shape.rounds * (latencyNs + nsPerByte * shape.share * size);
  return {
    shape,
    latencyNs,
    bandwidthGBps: nsPerS / nsPerByte / bytesPerGiB,
    decades: decadesOf(sizesBytes, timesNs, fitted),
  };
}

/** Two unknowns, neither below zero. */
function nonNegative(s: { ll: number; lb: number; bb: number; lt: number; bt: number }) {
  const determinant = s.ll * s.bb - s.lb * s.lb;
  const latency = (s.lt * s.bb - s.bt * s.lb) / determinant;
  const perByte = (s.bt * s.ll - s.lt * s.lb) / determinant;
  if (latency >= 0 && perByte >= 0) return [latency, perByte];
  if (!(perByte >= 0)) return [Math.max(0, s.lt / s.ll), 0];
  return [0, Math.max(0, s.bt / s.bb)];
}

function octaveOf(size: number): number {
  return Math.floor(Math.log2(size));
}

function octaveWeights(sizes: Float64Array): Float64Array {
  const counts = new Map<number, number>();
  for (const size of sizes) counts.set(octaveOf(size), (counts.get(octaveOf(size)) ?? 0) + 1);
  return sizes.map((size) => 1 / (counts.get(octaveOf(size)) ?? 1));
}

function decadesOf(
  sizes: Float64Array,
  times: Float64Array,
  fitted: (size: number) => number,
): Decade[] {
  const rows = new Map<number, number[]>();
  sizes.forEach((size, i) => {
    const exponent = Math.floor(Math.log10(size) + 1e-12);
    rows.set(exponent, [...(rows.get(exponent) ?? []), i]);
  });
  return [...rows].map(([exponent, at]) => {
    const errors = at.map((i) => fitted(sizes[i]) / times[i] - 1);
    const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    const meanAbsError = mean(errors.map(Math.abs));
    return {
      exponent,
      points: at.length,
      meanAbsError,
      bias: mean(errors),
      measuredNs: median(at.map((i) => times[i])),
      fittedNs: median(at.map((i) => fitted(sizes[i]))),
      fits: meanAbsError <= fitsWithin,
    };
  });
}

/** One point per doubling of size, the medians of its sizes and times. */
export function thinCurve({ sizesBytes, timesNs }: CollectiveCurve['curve']): [number, number][] {
  const rows = new Map<number, [number[], number[]]>();
  sizesBytes.forEach((size, i) => {
    const row = rows.get(octaveOf(size)) ?? [[], []];
    row[0].push(size);
    row[1].push(timesNs[i]);
    rows.set(octaveOf(size), row);
  });
  return [...rows.values()].map(([sizes, times]) => [
    Math.round(median(sizes)),
    Math.round(median(times)),
  ]);
}

/**
 * Half-width, as a share, of the 90 % interval of measured times about the medians of their doublings,
 * every doubling alike: what a size off the table, or a second measurement, may differ by. Undefined
 * where no doubling has two sizes.
 */
export function scatterOf(curves: readonly CollectiveCurve['curve'][]): number | undefined {
  const rows: { error: number; weight: number }[] = [];
  for (const curve of curves) {
    const points = thinCurve(curve);
    const medians = new SizeCurve(
      points.map(([size]) => size),
      points.map(([, time]) => time),
    );
    octaveWeights(curve.sizesBytes).forEach((weight, i) => {
      if (weight === 1) return;
      const time = medians.timeNs(curve.sizesBytes[i]);
      rows.push({ error: Math.abs(curve.timesNs[i] / time - 1), weight });
    });
  }
  rows.sort((a, b) => a.error - b.error);
  let left = 0.9 * rows.reduce((sum, { weight }) => sum + weight, 0);
  return rows.find(({ weight }) => {
    left -= weight;
    return left <= 0;
  })?.error;
}

function median(values: number[]): number {
  return quantileSorted(
    values.sort((a, b) => a - b),
    0.5,
  );
}
