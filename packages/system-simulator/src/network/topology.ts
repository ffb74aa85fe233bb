/**
 * Shapes of networks and the delay of a message that meets no other. Link bandwidth is GB/s of 2^30
 * bytes as ASTRA-sim counts it, latency ns per hop, sizes bytes.
 */
import { bytesPerGiB, nsPerS } from '@astrolabe/base';
import type { Core, Network } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import type { LinkMap } from './aware.js';

type DimensionKind = 'Ring' | 'FullyConnected' | 'Switch' | 'Mesh' | 'Torus';

export interface DimensionSpec {
  readonly kind: DimensionKind;
  readonly npus: number;
  /** Per link and direction. */
  readonly bandwidthGBps: number;
  readonly latencyNs: number;
}

/** Links between NPUs of one domain; an NPU pair uses the first level whose domain they share. */
export interface LevelSpec {
  /** Domain of each NPU. */
  readonly domain: readonly number[];
  readonly bandwidthGBps: number;
  readonly latencyNs: number;
  /** Port of each NPU, 0 and up, each with a link out and a link in; default: one of its own. */
  readonly port?: readonly number[];
  /**
   * Rails: ports come in groups of this many (a node's cards), and card i of every node is on
   * switch i, so that a message leaves by its own node's card on the receiver's rail.
   */
  readonly rails?: number;
}

/** Links that differ from their dimension: one (`from`, `to`), or all of an NPU (`npu`). */
export interface LinkOverride {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly npu?: number | undefined;
  readonly dim?: number | undefined;
  readonly bandwidth?: number | undefined;
  readonly latency?: number | undefined;
}

export interface NetworkSpec {
  readonly congestion: 'unaware' | 'aware';
  /** Innermost first: NPU id = a0 + n0 * (a1 + n1 * ...). */
  readonly dims?: readonly DimensionSpec[];
  /** Innermost first; instead of `dims` where domains have unequal sizes. */
  readonly levels?: readonly LevelSpec[];
  /**
   * Which dimensions a message pays for: `first` charges only the lowest in which its ends differ
   * (ASTRA-sim), `all` every one of them.
   */
  readonly routing?: 'first' | 'all';
  /** Congestion-aware switches: pass messages on as they come (default), or store them first. */
  readonly cutThrough?: boolean;
  /** Only with `dims`. Later entries win. */
  readonly links?: readonly LinkOverride[];
}

export const bytesPerNs = (bandwidthGBps: number): number => (bandwidthGBps * bytesPerGiB) / nsPerS;

/** Links a message crosses between positions `a` and `b` of a dimension. */
export function hopsBetween(kind: DimensionKind, npus: number, a: number, b: number): number {
  if (a === b) return 0;
  switch (kind) {
    case 'FullyConnected':
      return 1;
    case 'Switch':
      return 2;
    case 'Mesh':
      return Math.abs(a - b);
    case 'Ring':
    case 'Torus': {
      const clockwise = (b - a + npus) % npus;
      return Math.min(clockwise, npus - clockwise);
    }
  }
}

/** Delay in ns of a message between two different NPUs when nothing else is on the network. */
export type DelayNs = (src: number, dst: number, sizeBytes: number) => number;

/** `trunc(hops * latency + size / bandwidth)`: one serialization, a latency per hop. */
export function delayFunction(spec: NetworkSpec): DelayNs {
  if (spec.levels !== undefined) return levelDelay(spec.levels);
  const dims = spec.dims ?? [];
  if (dims.length === 1) return oneDimensionDelay(dims[0]);
  return spec.routing === 'first' ? firstDimensionDelay(dims) : allDimensionsDelay(dims);
}

/** Along the route over a table of links: all latencies, one serialization at the slowest link. */
export function routeDelay(map: LinkMap): DelayNs {
  return (src, dst, sizeBytes) => {
    let latency = 0;
    let slowest = Number.POSITIVE_INFINITY;
    let device = src;
    while (device !== dst) {
      const link = map.next(device, src, dst);
      latency += map.latencyNs[link];
      slowest = Math.min(slowest, map.bytesPerNs[link]);
      device = map.target(link, src, dst);
    }
    return Math.trunc(latency + sizeBytes / slowest);
  };
}

function oneDimensionDelay(dim: DimensionSpec): DelayNs {
  const { kind, npus, latencyNs } = dim;
  const beta = bytesPerNs(dim.bandwidthGBps);
  return (src, dst, sizeBytes) =>
    Math.trunc(hopsBetween(kind, npus, src, dst) * latencyNs + sizeBytes / beta);
}

function firstDimensionDelay(dims: readonly DimensionSpec[]): DelayNs {
  const betas = dims.map((dim) => bytesPerNs(dim.bandwidthGBps));
  return (src, dst, sizeBytes) => {
    let a = src;
    let b = dst;
    for (let d = 0; d < dims.length; d++) {
      const { kind, npus, latencyNs } = dims[d];
      const hops = hopsBetween(kind, npus, a % npus, b % npus);
      if (hops > 0) return Math.trunc(hops * latencyNs + sizeBytes / betas[d]);
      a = Math.trunc(a / npus);
      b = Math.trunc(b / npus);
    }
    return 0;
  };
}

function allDimensionsDelay(dims: readonly DimensionSpec[]): DelayNs {
  const betas = dims.map((dim) => bytesPerNs(dim.bandwidthGBps));
  return (src, dst, sizeBytes) => {
    let a = src;
    let b = dst;
    let latency = 0;
    let slowest = Number.POSITIVE_INFINITY;
    for (let d = 0; d < dims.length; d++) {
      const { kind, npus, latencyNs } = dims[d];
      const hops = hopsBetween(kind, npus, a % npus, b % npus);
      if (hops > 0) {
        latency += hops * latencyNs;
        slowest = Math.min(slowest, betas[d]);
      }
      a = Math.trunc(a / npus);
      b = Math.trunc(b / npus);
    }
    return Math.trunc(latency + sizeBytes / slowest);
  };
}

function levelDelay(levels: readonly LevelSpec[]): DelayNs {
  const betas = levels.map((level) => bytesPerNs(level.bandwidthGBps));
  const last = levels.length - 1;
  return (src, dst, sizeBytes) => {
    let d = 0;
    while (d < last && levels[d].domain[src] !== levels[d].domain[dst]) d++;
    return Math.trunc(levels[d].latencyNs + sizeBytes / betas[d]);
  };
}

/** Every message takes its delay, whatever else is under way. */
export function unawareNetwork(delayNs: DelayNs): Network {
  return {
    send(core: Core, message: number): void {
      const delay = delayNs(
        core.messageSrc[message],
        core.messageDst[message],
        core.messageSize[message],
      );
      core.queue.schedule(core.queue.time + delay, Kind.arrival, message);
    },
  };
}
