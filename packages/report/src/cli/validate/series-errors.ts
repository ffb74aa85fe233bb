/**
 * Measured series against the run's: throughput, power, memory. How intervals meet:
 * - throughput: a value at t is the interval that ends at t, on the log's clock (`log-clock.ts`);
 * - power: value k is the interval [k, k + 1);
 * - memory: the first sample is the end of the interval of the first arrival.
 */
import { bytesPerMiB, nsPerS } from '@astrolabe/base';
import { meterReadings, type TierRow } from '@astrolabe/serving-loop';
import type { Served } from '@astrolabe/serving-loop/cli';
import type { RunData } from '../../run-data.js';
import { compareSeries, errorPct, mapePct } from '../../series.js';
import type { Figures } from '../../validate/figures.js';
import { tokensOnLogClock } from './log-clock.js';
import type { MeasuredPool, MeasuredSeries } from './read-measured.js';

/** @param real the measured requests, whose own series serves when the case has no other */
export function seriesErrors(
  series: MeasuredSeries | undefined,
  real: RunData | undefined,
  ours: RunData,
  served: Served,
): Figures {
  if (series?.kind === 'power') return powerErrors(series, served);
  if (series?.kind === 'memory') return memoryErrors(series, served);
  let found: ReturnType<typeof compareSeries>;
  if (series !== undefined) {
    const simulated = tokensOnLogClock(ours, series);
    found = compareSeries(series.values, series.atZero ? [0, ...simulated] : simulated);
  } else if (real?.series !== undefined && real.series.intervalNs === ours.series?.intervalNs) {
    found = compareSeries(real.series.outputTokens, ours.series?.outputTokens ?? []);
  }
  if (found === undefined) return {};
  return { throughputWape: found.wapePct, cumulativeTokens: found.cumulativePct };
}

/** What a meter at the wall would show of the whole system, W per interval. */
export function powerW(served: Served): number[] {
  const reading = served.run.power;
  return reading === undefined ? [] : meterReadings(reading, reading.system);
}

/** Over the intervals that both have. */
function powerErrors(series: MeasuredSeries, served: Served): Figures {
  const simulated = powerW(served);
  const common = Math.min(simulated.length, series.values.length);
  const sum = (values: readonly number[]): number =>
    values.slice(0, common).reduce((total, value) => total + value, 0);
  const energy = common === 0 ? undefined : errorPct(sum(series.values), sum(simulated));
  const power = mapePct(series.values, simulated);
  return {
    ...(energy === undefined ? {} : { energy }),
    ...(power === undefined ? {} : { powerMape: power }),
  };
}

/** Worst device, and the shared pool apart. Hit rates as differences in percentage points. */
function memoryErrors(series: MeasuredSeries, served: Served): Figures {
  const firstNs = served.results.reduce((least, row) => Math.min(least, row.arrivalNs), Infinity);
  const start = Math.floor(firstNs / (series.intervalS * nsPerS));
  const rows = served.run.tiers.rows();
  const errors: Record<string, number> = {};
  const worst = (name: string, value: number | undefined): void => {
    if (value !== undefined) errors[name] = Math.max(errors[name] ?? 0, value);
  };
  for (const pool of series.pools) {
    const { usedMiB, hitPct } = simulatedPool(pool, rows, served);
    const kind = pool.instance === undefined ? 'sharedMemory' : 'memory';
    const used = held(usedMiB.slice(start), pool.usedMiB.length);
    worst(`${kind}Mape`, mapePct(pool.usedMiB, used));
    worst(`${kind}HitPoints`, meanGap(pool.hitPct, held(hitPct.slice(start), pool.hitPct.length)));
  }
  return errors;
}

export function simulatedPool(
  pool: MeasuredPool,
  rows: readonly TierRow[],
  served: Served,
): { readonly usedMiB: number[]; readonly hitPct: number[] } {
  const { instance } = pool;
  const label = instance === undefined ? sharedLabel(rows) : `instance${instance}/device`;
  const own = rows.filter((row) => row.pool === label);
  const engine = instance === undefined ? undefined : served.run.engines[instance];
  const weights = engine === undefined ? 0 : engine.budget.weightBytes * engine.instance.tp;
  return {
    usedMiB: own.map((row) => (row.usedBytes + weights) / bytesPerMiB),
    hitPct: own.map((row) => (row.queryTokens > 0 ? (100 * row.hitTokens) / row.queryTokens : 0)),
  };
}

function sharedLabel(rows: readonly TierRow[]): string | undefined {
  return rows.find((row) => !row.pool.startsWith('instance'))?.pool;
}

/** The last state holds until the measurement ends. */
export function held(values: readonly number[], length: number): number[] {
  const last = values[values.length - 1] ?? 0;
  return Array.from({ length }, (_, i) => values[i] ?? last);
}

function meanGap(real: readonly number[], simulated: readonly number[]): number {
  const sum = real.reduce((total, value, i) => total + Math.abs(value - simulated[i]), 0);
  return sum / real.length;
}

/** Counts a manifest may ask to agree exactly. */
export function runCounts(served: Served): Figures {
  const { prefixHitTokens, promptTokens, outputTokens, preemptions } = served.summary;
  const rows = served.run.tiers.latest();
  const shared = rows.find((row) => row.pool === sharedLabel(rows));
  return {
    prefixHitTokens,
    promptTokens,
    outputTokens,
    preemptions,
    ...(shared === undefined
      ? {}
      : {
          sharedPoolMiB: shared.usedBytes / bytesPerMiB,
          sharedPoolHitTokens: shared.hitTokens,
        }),
  };
}
