/** A case's figures against its limits. */
import { errorPct } from '../series.js';
import type { Figures } from './figures.js';
import type { Case } from './manifest.js';

type RowResult = 'ok' | 'exceeded' | 'info' | 'unsupported';

export interface CaseRow {
  readonly metric: string;
  readonly real: number | null;
  readonly ours: number | null;
  /** Signed where there is a real value; an error measure of a series is never negative. */
  readonly errorPct: number | null;
  readonly limitPct: number | null;
  readonly peerErrorPct: number | null;
  readonly result: RowResult;
  /** 90 % interval of a mean predicted with a calibration. */
  readonly interval90?: readonly [low: number, high: number];
}

export interface CaseResult {
  readonly id: string;
  readonly role: string;
  readonly status: 'passed' | 'failed' | 'unsupported';
  /** Why it is not supported, or what must be known. */
  readonly notes: readonly string[];
  readonly rows: readonly CaseRow[];
}

export interface Measured {
  readonly real: Figures;
  readonly ours: Figures;
  readonly peer: Figures;
  /** What the peer published, percent, where there are no figures to compute it from. */
  readonly peerErrors?: Figures;
  /** 90 % intervals of means, by metric. */
  readonly intervals90?: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** Errors of series in percent: `throughputWape`, `cumulativeTokens`. */
  readonly seriesErrors: Figures;
  /** Counts that must agree exactly. */
  readonly counts: Figures;
}

/** Figures shown although they have no limit. */
const shown = [
  'ttftMean',
  'unqueuedTtftMean',
  'tpotMean',
  'itlMean',
  'latencyMean',
  'makespan',
  'throughput',
  'kvBlocks',
  'throughputWape',
  'cumulativeTokens',
];

export function judge(given: Case, measured: Measured): CaseRow[] {
  const limited = Object.keys(given.limitsPct);
  const known = (name: string): boolean =>
    name in measured.seriesErrors || (name in measured.real && name in measured.ours);
  const others = shown.filter((name) => !limited.includes(name) && known(name));
  const names = [...limited, ...others];
  return [
    ...names.map((name) => row(name, given.limitsPct[name], measured)),
    ...Object.entries(given.exact).map(([name, real]) => exactRow(name, real, measured)),
  ];
}

function row(metric: string, limit: number | undefined, measured: Measured): CaseRow {
  const real = measured.real[metric] ?? null;
  const ours = measured.ours[metric] ?? null;
  const peer = measured.peer[metric];
  const interval90 = measured.intervals90?.[metric];
  const error =
    measured.seriesErrors[metric] ??
    (real === null || ours === null ? null : (errorPct(real, ours) ?? null));
  return {
    metric,
    real,
    ours,
    errorPct: error,
    limitPct: limit ?? null,
    peerErrorPct: peerError(metric, real, peer, measured),
    result: result(error, limit),
    ...(interval90 === undefined ? {} : { interval90 }),
  };
}

function peerError(
  metric: string,
  real: number | null,
  peer: number | undefined,
  measured: Measured,
): number | null {
  if (real !== null && peer !== undefined) return errorPct(real, peer) ?? null;
  return measured.peerErrors?.[metric] ?? null;
}

function result(error: number | null, limit: number | undefined): RowResult {
  if (limit === undefined) return 'info';
  if (error === null) return 'unsupported';
  return Math.abs(error) <= limit ? 'ok' : 'exceeded';
}

function exactRow(metric: string, real: number, measured: Measured): CaseRow {
  const ours = measured.counts[metric] ?? null;
  const error = ours === null ? null : (errorPct(real, ours) ?? null);
  let result: RowResult = 'unsupported';
  if (ours !== null) result = ours === real ? 'ok' : 'exceeded';
  return { metric, real, ours, errorPct: error, limitPct: 0, peerErrorPct: null, result };
}

/** Failed when a limit is exceeded; unsupported when no limit could be checked. */
export function caseStatus(rows: readonly CaseRow[]): CaseResult['status'] {
  if (rows.some((row) => row.result === 'exceeded')) return 'failed';
  return rows.some((row) => row.result === 'ok') ? 'passed' : 'unsupported';
}

export interface Coverage {
  readonly metrics: number;
  readonly covered: number;
  /** Of the intervals, percent of the predicted value; NaN without any. */
  readonly medianWidthPct: number;
}

/** How often the truth lies in the interval, over the cases that nothing was fitted on. */
export function coverage(results: readonly CaseResult[]): Coverage {
  const widths: number[] = [];
  let covered = 0;
  for (const { role, rows } of results) {
    if (role !== 'acceptance') continue;
    for (const { real, ours, interval90 } of rows) {
      if (interval90 === undefined || real === null || ours === null) continue;
      const [low, high] = interval90;
      widths.push((100 * (high - low)) / ours);
      if (low <= real && real <= high) covered++;
    }
  }
  widths.sort((a, b) => a - b);
  const medianWidthPct = widths[Math.floor(widths.length / 2)] ?? Number.NaN;
  return { metrics: widths.length, covered, medianWidthPct };
}
