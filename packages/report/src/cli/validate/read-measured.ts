/** The measured side of a case: figures and series in the kinds a manifest may name. */
import { resolve } from 'node:path';
import { UserError } from '@astrolabe/base';
import { isUnqueued } from '../../latency-metrics.js';
import { type RunData, requestKey } from '../../run-data.js';
import { type Figures, inlineFigures, runFigures, tableFigures } from '../../validate/figures.js';
import type { RealRun, RealSeries } from '../../validate/manifest.js';
import { cell, readTable, readVllmBench } from '../read-real.js';

export interface MeasuredFigures {
  readonly figures: Figures;
  /** Present when requests were measured one by one. */
  readonly run?: RunData;
  /** Keys of requests that did not queue in the measured run. */
  readonly unqueued?: ReadonlySet<string>;
}

/** @param folder of the manifest; its paths are relative to it */
export async function readReal(real: RealRun, folder: string): Promise<MeasuredFigures> {
  if (real.kind === 'metrics') return { figures: inlineFigures(real.values) };
  const path = resolve(folder, real.path);
  if (real.kind === 'summary-tsv') return { figures: summaryRow(path, real.row) };
  const read = await readVllmBench(path);
  const run = { ...read, kvBlocks: real.kvBlocks ?? read.kvBlocks };
  const unqueued = new Set(run.rows.filter(isUnqueued).map((row) => requestKey(row.id)));
  return { figures: runFigures(run), run, unqueued };
}

function summaryRow(path: string, name: string | undefined): Figures {
  const rows = readTable(path, '\t');
  const found =
    name === undefined && rows.length === 1
      ? rows[0]
      : rows.find((row) => Object.values(row)[0] === name);
  if (found === undefined) throw new UserError(`no row "${name ?? ''}"`, { at: path });
  return tableFigures(found);
}

/** Tokens per interval; `atZero` when the first value stands for the instant 0. */
export interface MeasuredSeries {
  readonly intervalS: number;
  readonly values: readonly number[];
  readonly atZero: boolean;
}

/** Rates in tokens/s to tokens per interval. Undefined for kinds that are no throughput. */
export function readThroughputSeries(
  series: RealSeries,
  folder: string,
): MeasuredSeries | undefined {
  if (series.kind === 'throughput' && series.values !== undefined) {
    const intervalS = series.intervalS ?? 1;
    const values = series.values.map((rate) => rate * intervalS);
    // Nothing is ever finished in the first interval's worth of exactly 0: it is the instant 0.
    return { intervalS, values, atZero: values[0] === 0 };
  }
  if (series.kind !== 'throughput-tsv' || series.path === undefined) return undefined;
  const path = resolve(folder, series.path);
  const rows = readTable(path, '\t');
  if (rows.length < 2) throw new UserError('expected two rows or more', { at: path });
  const times = rows.map((row) => cell(row, 'time_s', path));
  const intervalS = times[1] - times[0];
  return {
    intervalS,
    values: rows.map((row) => cell(row, 'throughput', path) * intervalS),
    atZero: times[0] === 0,
  };
}
