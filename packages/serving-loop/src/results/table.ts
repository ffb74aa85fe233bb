/** Result rows as columns, and as CSV, NDJSON or Arrow. */
import { type Table, tableFromArrays, tableToIPC } from 'apache-arrow';
import { stringify } from 'csv-stringify/sync';
import type { Interval } from '../interval-series.js';
import type { RequestResult } from '../metrics.js';

type Cell = string | number | null;
export type Row = Readonly<Record<string, Cell>>;

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

/** An Arrow IPC stream; times are float64 ns, missing ones null. */
export function toArrow(rows: readonly Row[], columns: readonly string[]): Uint8Array {
  const data: Record<string, Cell[]> = {};
  for (const column of columns) {
    const cells = rows.map((row) => row[column] ?? null);
    const textual = cells.some((cell) => typeof cell === 'string');
    data[snakeCase(column)] = textual ? cells.map((cell) => String(cell)) : cells;
  }
  // Arrow infers a column's type from its values; its own types cannot say so.
  const table: Table = tableFromArrays(data as Record<string, never>);
  return tableToIPC(table, 'stream');
}

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

export const intervalColumns = [
  'startNs',
  'promptTokens',
  'outputTokens',
  'running',
  'waiting',
  'kvUsage',
] as const satisfies readonly (keyof Interval)[];
