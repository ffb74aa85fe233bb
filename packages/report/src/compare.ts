/** A simulated run against a measured one, metric by metric. Errors are signed, arithmetic means. */
import { UserError } from '@astrolabe/base';
import {
  isUnqueued,
  itlMeanMs,
  type LatencyMetric,
  latencyMetricNames,
  latencyMetrics,
  makespanS,
  metricMs,
  outputTokensPerS,
  statistics,
  unqueuedLimitNs,
} from './latency-metrics.js';
import { type RequestRow, type RunData, requestKey } from './run-data.js';
import { compareSeries, errorPct, type SeriesError } from './series.js';

export interface MetricError {
  /** `ttft`, `tpot`, ..., `makespan`. */
  readonly metric: string;
  /** `mean`, `p50`, ...; empty for a single figure. */
  readonly statistic: string;
  readonly unit: string;
  readonly real: number;
  readonly simulated: number;
  /** Signed, percent; null when the real value is 0. */
  readonly errorPct: number | null;
}

/** Mean over requests of the relative error, percent. */
interface PerRequestError {
  /** Of its size. */
  readonly mapePct: number;
  /** With its sign. */
  readonly meanPct: number;
  readonly requests: number;
}

export interface Comparison {
  readonly real: {
    readonly source: string;
    readonly requests: number;
    /** Only of a simulated run in a measured one's place: differences are changes, not errors. */
    readonly simulated?: true;
  };
  readonly simulated: { readonly source: string; readonly requests: number };
  /** Requests that finished in both. */
  readonly matched: number;
  /** Requests scheduled within 50 ms of arrival in the real run. */
  readonly unqueued: number;
  readonly metrics: readonly MetricError[];
  readonly perRequest: Readonly<Record<string, PerRequestError>>;
  readonly throughputSeries: SeriesError | null;
  readonly notes: readonly string[];
}

/** @throws UserError when the two runs are not of the same workload */
export function compareRuns(simulated: RunData, real: RunData): Comparison {
  const pairs = matchRows(simulated, real);
  const realRows = pairs.map((pair) => pair.real);
  const simRows = pairs.map((pair) => pair.simulated);
  const unqueued = pairs.filter((pair) => isUnqueued(pair.real));
  const series = throughputError(simulated, real);
  const notes = [...real.notes, ...simulated.notes];
  if (pairs.length < Math.max(real.totalRequests, simulated.totalRequests)) {
    notes.push(
      `${pairs.length} requests finished in both runs, of ${real.totalRequests} ` +
        `${real.simulated === true ? 'in the base' : 'measured'} and ${simulated.totalRequests} simulated`,
    );
  }
  return {
    real: {
      source: real.source,
      requests: real.totalRequests,
      ...(real.simulated === true ? { simulated: true } : {}),
    },
    simulated: { source: simulated.source, requests: simulated.totalRequests },
    matched: pairs.length,
    unqueued: unqueued.length,
    metrics: [
      ...latencyMetricNames.flatMap((metric) => distributionErrors(metric, realRows, simRows)),
      ...distributionErrors(
        'ttft',
        unqueued.map((pair) => pair.real),
        unqueued.map((pair) => pair.simulated),
        'unqueuedTtft',
      ),
      ...singleErrors(realRows, simRows),
      ...kvBlocksError(simulated, real),
    ],
    perRequest: perRequestErrors(pairs, unqueued),
    throughputSeries: series ?? null,
    notes,
  };
}

interface Pair {
  readonly real: RequestRow;
  readonly simulated: RequestRow;
}

/**
 * Pairs rows by id, or by the number an id ends with (`bench-17` is 17).
 * @throws UserError when the two are not of the same workload
 */
export function matchRows(
  simulated: Pick<RunData, 'rows' | 'source'>,
  real: Pick<RunData, 'rows' | 'source'>,
): Pair[] {
  const byId = new Map(simulated.rows.map((row) => [row.id, row]));
  const pairs: Pair[] = [];
  for (const row of real.rows) {
    const found = byId.get(row.id) ?? byId.get(requestKey(row.id));
    if (found === undefined) continue;
    if (found.promptTokens !== row.promptTokens || found.outputTokens !== row.outputTokens) {
      throw new UserError(
        `request ${row.id} has ${row.promptTokens} + ${row.outputTokens} tokens measured and ` +
          `${found.promptTokens} + ${found.outputTokens} simulated`,
        { at: real.source, hint: 'are these runs of the same workload?' },
      );
    }
    pairs.push({ real: row, simulated: found });
  }
  if (pairs.length > 0) return pairs;
  throw new UserError(`no request of ${simulated.source} is in this run`, { at: real.source });
}

function distributionErrors(
  metric: LatencyMetric,
  realRows: readonly RequestRow[],
  simRows: readonly RequestRow[],
  name: string = metric,
): MetricError[] {
  const real = metricMs(realRows, metric);
  const simulated = metricMs(simRows, metric);
  if (real === undefined || simulated === undefined) return [];
  return statistics.map((statistic) =>
    metricError(name, statistic, 'ms', real[statistic], simulated[statistic]),
  );
}

function metricError(
  metric: string,
  statistic: string,
  unit: string,
  real: number,
  simulated: number,
): MetricError {
  return {
    metric,
    statistic,
    unit,
    real,
    simulated,
    errorPct: errorPct(real, simulated) ?? null,
  };
}

function singleErrors(
  realRows: readonly RequestRow[],
  simRows: readonly RequestRow[],
): MetricError[] {
  const errors = [
    metricError('makespan', '', 's', makespanS(realRows), makespanS(simRows)),
    metricError(
      'throughput',
      '',
      'output tokens/s',
      outputTokensPerS(realRows),
      outputTokensPerS(simRows),
    ),
  ];
  const real = itlMeanMs(realRows);
  const simulated = itlMeanMs(simRows);
  if (real !== undefined && simulated !== undefined) {
    errors.unshift(metricError('itl', 'mean', 'ms', real, simulated));
  }
  return errors;
}

function kvBlocksError(simulated: RunData, real: RunData): MetricError[] {
  if (simulated.kvBlocks === undefined || real.kvBlocks === undefined) return [];
  return [metricError('kvBlocks', '', 'blocks', real.kvBlocks, simulated.kvBlocks)];
}

function perRequestErrors(
  pairs: readonly Pair[],
  unqueued: readonly Pair[],
): Record<string, PerRequestError> {
  const result: Record<string, PerRequestError> = {};
  for (const metric of latencyMetricNames) {
    // Queueing is near zero for most requests; a relative error of it says nothing.
    if (metric === 'queueing') continue;
    addErrors(result, metric, pairs, latencyMetrics[metric]);
  }
  addErrors(result, 'unqueuedTtft', unqueued, latencyMetrics.ttft);
  // LLMServingSim's errors are stated this way: the real clock starts in the engine's queue.
  const shortQueue = pairs.filter(({ real }) => {
    const { queuedNs, scheduledNs } = real;
    if (queuedNs === undefined || scheduledNs === undefined) return false;
    return scheduledNs - queuedNs <= unqueuedLimitNs;
  });
  addErrors(result, 'ttftFromQueue', shortQueue, (row) => row.firstTokenNs - start(row));
  return result;
}

function start(row: RequestRow): number {
  return row.queuedNs ?? row.arrivalNs;
}

function addErrors(
  result: Record<string, PerRequestError>,
  name: string,
  pairs: readonly Pair[],
  value: (row: RequestRow) => number | undefined,
): void {
  let size = 0;
  let signed = 0;
  let requests = 0;
  for (const pair of pairs) {
    const real = value(pair.real);
    const simulated = value(pair.simulated);
    if (real === undefined || simulated === undefined || real === 0) continue;
    size += Math.abs(simulated - real) / real;
    signed += (simulated - real) / real;
    requests++;
  }
  if (requests === 0) return;
  result[name] = { mapePct: (100 * size) / requests, meanPct: (100 * signed) / requests, requests };
}

function throughputError(simulated: RunData, real: RunData): SeriesError | undefined {
  if (simulated.series === undefined || real.series === undefined) return undefined;
  if (simulated.series.intervalNs !== real.series.intervalNs) return undefined;
  return compareSeries(real.series.outputTokens, simulated.series.outputTokens);
}
