/** A case's plots, measured (dashed) against simulated: over time, and distributions over requests. */
import { nsPerMs, nsPerS } from '@astrolabe/base';
import type { Served } from '@astrolabe/serving-loop/cli';
import type { Chart, Line } from '../../html/chart.js';
import { type LatencyMetric, latencyMetrics } from '../../latency-metrics.js';
import type { RunData } from '../../run-data.js';
import { tokensOnLogClock } from './log-clock.js';
import type { MeasuredPool, MeasuredSeries } from './read-measured.js';
import { held, powerW, simulatedPool } from './series-errors.js';

export function caseCharts(
  series: MeasuredSeries | undefined,
  real: RunData | undefined,
  ours: RunData,
  served: Served,
): Chart[] {
  return [
    ...throughputChart(series, real, ours),
    ...(real === undefined ? [] : distributions(real, ours)),
    ...(series?.kind === 'power' ? [powerChart(series, served)] : []),
    ...(series?.kind === 'memory'
      ? series.pools.map((p, i) => poolChart(p, i, series, served))
      : []),
  ];
}

function pair(
  measured: readonly number[],
  simulated: readonly number[],
  intervalS: number,
): Line[] {
  const xs = (values: readonly number[]): number[] => values.map((_, i) => i * intervalS);
  return [
    { name: 'measured', colour: 2, dashed: true, xs: xs(measured), ys: measured },
    { name: 'simulated', colour: 1, xs: xs(simulated), ys: simulated },
  ];
}

function throughputChart(
  series: MeasuredSeries | undefined,
  real: RunData | undefined,
  ours: RunData,
): Chart[] {
  if (ours.series === undefined) return [];
  let intervalS = ours.series.intervalNs / nsPerS;
  let simulated = ours.series.outputTokens;
  let measured: readonly number[];
  if (series?.kind === 'throughput') {
    intervalS = series.intervalS;
    simulated = tokensOnLogClock(ours, series);
    measured = series.values.slice(series.atZero ? 1 : 0);
  } else if (real?.series !== undefined) measured = real.series.outputTokens;
  else return [];
  const perS = (tokens: number): number => tokens / intervalS;
  return [
    {
      title: 'Output throughput',
      xLabel: 's',
      yLabel: 'tokens/s',
      steps: true,
      lines: pair(measured.map(perS), simulated.map(perS), intervalS),
    },
  ];
}

function distributions(real: RunData, ours: RunData): Chart[] {
  const metrics: [LatencyMetric, string][] = [
    ['ttft', 'Time to first token'],
    ['tpot', 'Time per output token'],
  ];
  return metrics.map(([metric, title]) => ({
    title,
    xLabel: 'ms',
    yLabel: 'share of requests, %',
    lines: [
      { name: 'measured', colour: 2, dashed: true, ...cumulative(real, metric) },
      { name: 'simulated', colour: 1, ...cumulative(ours, metric) },
    ],
  }));
}

function cumulative(run: RunData, metric: LatencyMetric): Pick<Line, 'xs' | 'ys'> {
  const values = run.rows.flatMap((row) => latencyMetrics[metric](row) ?? []);
  const xs = values.map((value) => value / nsPerMs).sort((a, b) => a - b);
  return { xs, ys: xs.map((_, i) => (100 * (i + 1)) / xs.length) };
}

function powerChart(series: MeasuredSeries, served: Served): Chart {
  const lines = pair(
    series.values,
    powerW(served).slice(0, series.values.length),
    series.intervalS,
  );
  return { title: 'Power at the wall', xLabel: 's', yLabel: 'W', steps: true, lines };
}

function poolChart(
  pool: MeasuredPool,
  index: number,
  series: MeasuredSeries,
  served: Served,
): Chart {
  const firstNs = served.results.reduce((least, row) => Math.min(least, row.arrivalNs), Infinity);
  const start = Math.floor(firstNs / (series.intervalS * nsPerS));
  const rows = served.run.tiers.rows();
  const used = simulatedPool(pool, rows, served).usedMiB.slice(start);
  return {
    title: pool.instance === undefined ? 'Shared pool' : `Device memory, instance ${index}`,
    xLabel: 's',
    yLabel: 'MiB',
    steps: true,
    lines: pair(pool.usedMiB, held(used, pool.usedMiB.length), series.intervalS),
  };
}
