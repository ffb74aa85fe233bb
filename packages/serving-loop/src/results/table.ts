/** Result rows as columns, and as CSV or NDJSON; as Arrow in `arrow-table.ts`. */
import { stringify } from 'csv-stringify/sync';
import type { Interval } from '../interval-series.js';
import type { RequestResult } from '../metrics.js';

export type Cell = string | number | null;
/** A key that is missing is a cell without a value. */
export type Row = Readonly<Record<string, Cell | undefined>>;

/** `firstTokenNs` -> `first_token_ns`, the column style of CSV and Arrow files. */
export function snakeCase(name: string): string {
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
