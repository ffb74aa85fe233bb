/** The measured side of a case: figures and series in the kinds a manifest may name. */
import { resolve } from 'node:path';
import { UserError } from '@astrolabe/base';
import { isUnqueued } from '../../latency-metrics.js';
import { type RunData, requestKey } from '../../run-data.js';
import { type Figures, inlineFigures, runFigures, tableFigures } from '../../validate/figures.js';
import type { RealRun, RealSeries } from '../../validate/manifest.js';
import { cell, readTable, type TableRow } from '../read-table.js';
import { readRealRun } from '../real/read-real-run.js';

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
  const read = await readRealRun(path);
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

/** What was measured over time. */
export interface MeasuredSeries {
  readonly kind: 'throughput' | 'power' | 'memory';
  readonly intervalS: number;
  /**
   * Output tokens per interval, or W; empty for memory. A throughput that starts at time 0 has its
   * intervals' ends as times, so its first value belongs to no interval.
   */
  readonly values: readonly number[];
  readonly atZero: boolean;
  readonly pools: readonly MeasuredPool[];
}

export interface MeasuredPool {
  /** Instance whose device this is; undefined for the pool that instances share. */
  readonly instance: number | undefined;
  readonly usedMiB: readonly number[];
  readonly hitPct: readonly number[];
}

/** Undefined for kinds unknown here. @throws UserError with the file */
export function readSeries(series: RealSeries, folder: string): MeasuredSeries | undefined {
  const paths = series.paths ?? (series.path === undefined ? [] : [series.path]);
  const files = paths.map((path) => resolve(folder, path));
  switch (series.kind) {
    case 'throughput':
    case 'power':
      return series.values === undefined
        ? undefined
        : inlineSeries(series.kind, series.values, series.intervalS ?? 1);
    case 'throughput-tsv':
      return files.length === 1 ? rateTable('throughput', files[0], 'throughput') : undefined;
    case 'power-tsv':
      return files.length === 1 ? rateTable('power', files[0], 'power_w') : undefined;
    case 'memory-hit-tsv':
      return files.length > 0 ? memoryTables(files) : undefined;
    default:
      return undefined;
  }
}

function inlineSeries(
  kind: 'throughput' | 'power',
  values: readonly number[],
  intervalS: number,
): MeasuredSeries {
  const scale = kind === 'throughput' ? intervalS : 1;
  return {
    kind,
    intervalS,
    values: values.map((value) => value * scale),
    // A first interval with exactly nothing is the instant 0.
    atZero: kind === 'throughput' && values[0] === 0,
    pools: [],
  };
}

function rateTable(kind: 'throughput' | 'power', path: string, column: string): MeasuredSeries {
  const { rows, intervalS, firstS } = timedRows(path);
  const scale = kind === 'throughput' ? intervalS : 1;
  return {
    kind,
    intervalS,
    values: rows.map((row) => cell(row, column, path) * scale),
    atZero: kind === 'throughput' && firstS === 0,
    pools: [],
  };
}

function timedRows(path: string): {
  readonly rows: readonly TableRow[];
  readonly intervalS: number;
  readonly firstS: number;
} {
  const rows = readTable(path, '\t');
  if (rows.length < 2) throw new UserError('expected two rows or more', { at: path });
  const firstS = cell(rows[0], 'time_s', path);
  return { rows, firstS, intervalS: cell(rows[1], 'time_s', path) - firstS };
}

/** Files with `gpu_mem_mb` are instances in order; one with `shared_cpu_mem_mb` is the shared pool. */
function memoryTables(paths: readonly string[]): MeasuredSeries {
  let instance = 0;
  let intervalS = 1;
  const pools = paths.map((path): MeasuredPool => {
    const table = timedRows(path);
    intervalS = table.intervalS;
    const shared = 'shared_cpu_mem_mb' in table.rows[0];
    const column = (name: string): number[] => table.rows.map((row) => cell(row, name, path));
    return {
      instance: shared ? undefined : instance++,
      usedMiB: column(shared ? 'shared_cpu_mem_mb' : 'gpu_mem_mb'),
      hitPct: column(shared ? 'shared_cpu_prefix_hit_pct' : 'prefix_hit_pct'),
    };
  });
  return { kind: 'memory', intervalS, values: [], atZero: false, pools };
}
