/**
 * The bandwidth that collectives get inside a tensor-parallel group, from one real run. Every prompt
 * token crosses the link a fixed number of times, so with too slow a link simulated TTFTs grow too fast
 * with the prompt, and with too fast a one too slowly; how much is linear in the time per byte. A
 * constant per step says nothing about prompts, so bandwidth and step overhead can be told apart.
 */
import { assert } from '@astrolabe/base';

/** The run simulated with one bandwidth, its step overhead fitted for that. */
export interface LinkPoint {
  readonly bandwidthGBps: number;
  /** By which measured TTFTs grow faster with the prompt than simulated ones, ns per token. */
  readonly ttftSlopeNs: number;
}

export interface FittedLink {
  readonly bandwidthGBps: number;
  /** False: the answer lies beyond the bandwidths that were simulated; the nearest of them is given. */
  readonly inside: boolean;
}

/** Where the slopes agree; linear in the time per byte between points. */
export function fitLink(points: readonly LinkPoint[]): FittedLink {
  assert(points.length > 0, 'a link needs a simulation');
  const sorted = [...points].sort((a, b) => b.bandwidthGBps - a.bandwidthGBps);
  for (let i = 1; i < sorted.length; i++) {
    const [fast, slow] = [sorted[i - 1], sorted[i]];
    if (fast.ttftSlopeNs * slow.ttftSlopeNs > 0) continue;
    const change = fast.ttftSlopeNs - slow.ttftSlopeNs;
    const weight = change === 0 ? 0 : fast.ttftSlopeNs / change;
    const timePerByte =
      1 / fast.bandwidthGBps + weight * (1 / slow.bandwidthGBps - 1 / fast.bandwidthGBps);
    return { bandwidthGBps: 1 / timePerByte, inside: true };
  }
  const nearest = sorted.reduce((best, point) =>
    Math.abs(point.ttftSlopeNs) < Math.abs(best.ttftSlopeNs) ? point : best,
  );
  return { bandwidthGBps: nearest.bandwidthGBps, inside: false };
}
