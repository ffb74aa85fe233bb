/** Result rows as columns, and as CSV, NDJSON or Arrow. */
import { Float64, Int64, Table, tableToIPC, type Vector, vectorFromArray } from 'apache-arrow';
import { stringify } from 'csv-stringify/sync';
import type { Interval } from '../interval-series.js';
import type { RequestResult } from '../metrics.js';

type Cell = string | number | null;
/** A key that is missing is a cell without a value. */
export type Row = Readonly<Record<string, Cell | undefined>>;

/** `firstTokenNs` -> `first_token_ns`, the column style of CSV and Arrow files. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function toCsv(rows: readonly Row[], columns: readonly string[]): string {
  return stringify(
    rows.map((row) => columns.map((column) => row[column])),
    { header: true, columns: columns.map(snakeCase) },
  );
}

export function toNdjson(rows: readonly Row[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

/** Means; everything else that is a number is an integer. */
const fractional: ReadonlySet<string> = new Set(['tpotNs', 'itlMeanNs']);

/**
 * An Arrow IPC stream: text as it is, means as float64, everything else as int64, missing ones null. A
 * column's type does not hang on its values, but for ids, which are text where any of them is.
 */
export function toArrow(rows: readonly Row[], columns: readonly string[]): Uint8Array {
  const vectors: Record<string, Vector> = {};
  for (const column of columns) {
    vectors[snakeCase(column)] = vectorOf(
      rows.map((row) => row[column] ?? null),
      fractional.has(column),
    );
  }
  return tableToIPC(new Table(vectors), 'stream');
}

function vectorOf(cells: readonly Cell[], isFractional: boolean): Vector {
  if (cells.some((cell) => typeof cell === 'string')) {
    return vectorFromArray(cells.map((cell) => (cell === null ? null : String(cell))));
  }
  if (isFractional) return vectorFromArray(cells as (number | null)[], new Float64());
  const integers = cells.map((cell) => (cell === null ? null : BigInt(cell)));
  return vectorFromArray(integers, new Int64());
}

/** Those of all runs; `requestColumnsOf` knows the others. */
export const requestColumns = [
  'request',
  'instance',
  'promptTokens',
  'outputTokens',
  'arrivalNs',
  'scheduledNs',
  'firstTokenNs',
  'finishNs',
  'queueingNs',
  'ttftNs',
  'tpotNs',
  'itlMeanNs',
  'latencyNs',
  'preemptions',
  'prefixHitTokens',
  'status',
] as const satisfies readonly (keyof RequestResult)[];

export function requestColumnsOf(results: readonly RequestResult[]): (keyof RequestResult)[] {
  const hasClasses = results.some(({ sloClass }) => sloClass !== undefined);
  return hasClasses ? [...requestColumns, 'sloClass'] : [...requestColumns];
}

export const intervalColumns = [
  'startNs',
  'promptTokens',
  'outputTokens',
  'running',
  'waiting',
  'kvUsage',
] as const satisfies readonly (keyof Interval)[];
