/**
 * Figures under the manifest's names without unit: `ttftMean`, `tpotP99`, `makespan`, `throughput`,
 * `kvBlocks`. Times in ms, makespan in s, throughput in output tokens/s.
 */
import {
  isUnqueued,
  itlMeanMs,
  latencyMetricNames,
  makespanS,
  metricMs,
  outputTokensPerS,
  statistics,
} from '../latency-metrics.js';
import type { RequestRow, RunData } from '../run-data.js';

export type Figures = Readonly<Record<string, number>>;

function figureName(metric: string, statistic: string): string {
  return metric + statistic.slice(0, 1).toUpperCase() + statistic.slice(1);
}

/**
 * Figures of a run.
 * @param unqueued the requests that count as not queued; by default the run's own
 */
export function runFigures(
  run: RunData,
  unqueued: readonly RequestRow[] = run.rows.filter(isUnqueued),
): Figures {
  const figures: Record<string, number> = {};
  if (run.rows.length === 0) return figures;
  const add = (
    name: string,
    metric: (typeof latencyMetricNames)[number],
    rows: typeof unqueued,
  ) => {
    const found = metricMs(rows, metric);
    if (found === undefined) return;
    for (const statistic of statistics) figures[figureName(name, statistic)] = found[statistic];
  };
  for (const metric of latencyMetricNames) add(metric, metric, run.rows);
  add('unqueuedTtft', 'ttft', unqueued);
  const itl = itlMeanMs(run.rows);
  if (itl !== undefined) figures.itlMean = itl;
  figures.makespan = makespanS(run.rows);
  figures.throughput = outputTokensPerS(run.rows);
  if (run.kvBlocks !== undefined) figures.kvBlocks = run.kvBlocks;
  return figures;
}

const unitScale: Readonly<Record<string, number>> = { S: 1000, Ms: 1, Us: 1e-3, Ns: 1e-6 };

/** `ttftP99Ms` -> `ttftP99`, `makespanS` -> `makespan`; a median is a p50. */
export function inlineFigures(values: Readonly<Record<string, number>>): Figures {
  const figures: Record<string, number> = {};
  for (const [key, value] of Object.entries(values)) {
    const latency = /^([a-z]\w*?)(Mean|Median|P\d+)(S|Ms|Us|Ns)$/.exec(key);
    const span = /^(makespan)(S|Ms|Us|Ns)$/.exec(key);
    if (latency !== null) {
      const statistic = latency[2] === 'Median' ? 'P50' : latency[2];
      figures[metricAlias(latency[1]) + statistic] = value * unitScale[latency[3]];
    } else if (span !== null) {
      figures.makespan = (value * unitScale[span[2]]) / 1000;
    } else {
      figures[key.replace(/TokS$/, '')] = value;
    }
  }
  return figures;
}

/** Columns such as `mean_ttft_ms` and `throughput_tok_s`. */
export function tableFigures(row: Readonly<Record<string, string>>): Figures {
  const values: Record<string, number> = {};
  for (const [column, text] of Object.entries(row)) {
    const value = Number(text);
    if (text === '' || !Number.isFinite(value)) continue;
    const latency = /^(mean|median|p\d+)_(\w+)_(s|ms|us|ns)$/.exec(column);
    if (latency !== null) {
      const unit = latency[3].slice(0, 1).toUpperCase() + latency[3].slice(1);
      values[figureName(latency[2], latency[1]) + unit] = value;
    } else if (column === 'throughput_tok_s') values.throughputTokS = value;
  }
  return inlineFigures(values);
}

function metricAlias(metric: string): string {
  return metric === 'e2el' || metric === 'e2e' ? 'latency' : metric;
}
