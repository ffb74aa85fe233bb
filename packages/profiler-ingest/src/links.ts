/** What `profiler-ingest collectives` says of measured collectives, and the size table it writes. */
import { UserError } from '@astrolabe/base';
import { type MeasuredKind, measuredKinds, SizeCurve, type SizeTable } from '@astrolabe/config';
import type { CollectiveCurve } from '@astrolabe/profile';
import {
  type Decade,
  fitLink,
  type LinkFit,
  linkShapes,
  scatterOf,
  thinCurve,
} from './fit/fit-links.js';

/** @returns lines of text */
export function linkLines(curves: readonly CollectiveCurve[], memoryGBps: number): string[] {
  return curves.flatMap((curve) => {
    const sizes = curve.curve.sizesBytes;
    const heading =
      `${nameOf(curve)}: ${sizes.length} sizes, ${sizes[0]} to ` +
      `${sizes[sizes.length - 1]} bytes`;
    const shapes = linkShapes(curve.operator, curve.workers);
    if (shapes.length === 0) return [heading, '  not a collective of the machine', ''];
    if (sizes.length < 2) return [heading, '  one size: no line through it', ''];
    const fits = shapes.map((shape) => fitLink(curve, shape, memoryGBps));
    return [heading, ...fits.map(figures), ...decadeLines(fits[0]), ''];
  });
}

function nameOf({ operator, workers, devicesPerNode }: CollectiveCurve): string {
  const place = devicesPerNode < 0 ? '' : `, ${devicesPerNode} a node`;
  return `${operator} of ${workers}${place}`;
}

function figures({ shape, latencyNs, bandwidthGBps, decades }: LinkFit): string {
  const points = decades.reduce((sum, decade) => sum + decade.points, 0);
  const error = decades.reduce((sum, row) => sum + row.meanAbsError * row.points, 0) / points;
  const bandwidth = Number.isFinite(bandwidthGBps) ? bandwidthGBps.toPrecision(4) : 'any';
  return (
    `  ${shape.name.padEnd(9)} "link_latency": ${Math.round(latencyNs)}, ` +
    `"link_bw": ${bandwidth}   mean error ${percent(error)} of all sizes`
  );
}

function decadeLines({ shape, decades }: LinkFit): string[] {
  const lines = [`  bytes          sizes  mean error    bias   measured      ${shape.name}`];
  for (const decade of decades) lines.push(`  ${decadeLine(decade)}`);
  const off = decades.filter(({ fits }) => !fits);
  if (off.length === 0) return lines;
  const where = off.map(({ exponent }) => range(exponent)).join(', ');
  return [...lines, `  one line does not fit ${where}: use the table there (measured_links)`];
}

function decadeLine(decade: Decade): string {
  const { exponent, points, meanAbsError, bias, measuredNs, fittedNs } = decade;
  const signed = `${bias < 0 ? '-' : '+'}${percent(Math.abs(bias))}`;
  return (
    range(exponent).padEnd(14) +
    String(points).padStart(6) +
    percent(meanAbsError).padStart(12) +
    signed.padStart(8) +
    micros(measuredNs).padStart(11) +
    micros(fittedNs).padStart(12)
  );
}

function range(exponent: number): string {
  return `1e${exponent} to 1e${exponent + 1}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function micros(ns: number): string {
  const us = ns / 1000;
  return `${us >= 1000 ? us.toFixed(0) : us.toPrecision(4)} us`;
}

export interface MeasuredCurves {
  readonly curves: readonly CollectiveCurve[];
  /** Who measured them, on what. */
  readonly source: string;
  /** As the source states it; absent: by the scatter of the times. */
  readonly errorPct?: number | undefined;
}

/**
 * The curves as a file for `measured_links`.
 * @param thin one point per doubling of size
 * @throws UserError nothing that the machine runs, or a curve of one size
 */
export function sizeTableOf(measured: MeasuredCurves, thin: boolean): SizeTable {
  const kept = measured.curves.filter(({ operator }) => kindOf(operator) !== undefined);
  if (kept.length === 0) {
    throw new UserError(`no collective of ${measuredKinds.join(', ')} in the measurements`);
  }
  const { source } = measured;
  const error = measured.errorPct ?? scatterPct(kept);
  return {
    source: thin ? `${source}; medians per doubling of size` : source,
    ...(error === undefined ? {} : { error_pct: error }),
    curves: kept.map((curve) => {
      const points = thin ? thinCurve(curve.curve) : pointsOf(curve);
      if (points.length < 2)
        throw new UserError(`${nameOf(curve)} has one size, a table needs two`);
      return {
        collective: kindOf(curve.operator) as MeasuredKind,
        participants: curve.workers,
        ...(curve.devicesPerNode < 0 ? {} : { devices_per_node: curve.devicesPerNode }),
        size_bytes: points.map(([size]) => size),
        duration_ns: points.map(([, time]) => time),
      };
    }),
  };
}

function kindOf(operator: string): MeasuredKind | undefined {
  return measuredKinds.find((kind) => kind === operator);
}

function scatterPct(curves: readonly CollectiveCurve[]): number | undefined {
  const scatter = scatterOf(curves.map(({ curve }) => curve));
  return scatter === undefined ? undefined : Math.ceil(100 * scatter);
}

/** The same curves, of a table in a file. */
export function curvesOf({ curves }: SizeTable): CollectiveCurve[] {
  return curves.map((curve) => ({
    operator: curve.collective,
    workers: curve.participants,
    devicesPerNode: curve.devices_per_node ?? curve.participants,
    curve: new SizeCurve(curve.size_bytes, curve.duration_ns),
  }));
}

function pointsOf({ curve: { sizesBytes, timesNs } }: CollectiveCurve): [number, number][] {
  return Array.from(sizesBytes, (size, i) => [size, Math.round(timesNs[i])]);
}
