/** Small tables with a header, as text: cells become numbers where they are asked for. */
import { UserError } from '@astrolabe/base';
import { readText } from '@astrolabe/base/cli';
import { mostIntervals } from '@astrolabe/serving-loop';
import { parse } from 'csv-parse/sync';

export type TableRow = Readonly<Record<string, string>>;

/** Where a row came from, for messages. */
const lineOf = new WeakMap<TableRow, number>();

/** @throws UserError naming the file */
export function readTable(path: string, delimiter: ',' | '\t'): TableRow[] {
  const text = readText(path);
  if (text.trim() === '') throw new UserError('is empty, expected a header', { at: path });
  try {
    return parse(text, {
      columns: true,
      delimiter,
      bom: true,
      trim: true,
      onRecord: (row: TableRow, { lines }) => {
        lineOf.set(row, lines);
        return row;
      },
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError((error as Error).message, { at: path });
  }
}

/** A number of a row. @throws UserError naming the column, and the line where it is there */
export function cell(row: TableRow, column: string, path: string): number {
  const text = row[column];
  const value = Number(text);
  if (text !== undefined && text !== '' && Number.isFinite(value)) return value;
  if (text === undefined) throw new UserError(`no column "${column}"`, { at: path });
  throw new UserError(`${column}: expected a number, got ${JSON.stringify(text)}`, {
    at: `${path}:${lineOf.get(row)}`,
  });
}

/** Time between the rows of a series, ns; 1 s of a single one. @throws UserError not equally far apart */
export function intervalNsOf(rows: readonly TableRow[], path: string): number {
  const startsNs = rows.map((row) => cell(row, 'start_ns', path));
  const intervalNs = rows.length < 2 ? 1e9 : startsNs[1] - startsNs[0];
  const wrong = startsNs.findIndex((startNs, i) => startNs !== startsNs[0] + i * intervalNs);
  if (intervalNs >= 1 && wrong < 0) return intervalNs;
  const at = `${path}:${lineOf.get(rows[wrong < 0 ? 1 : wrong])}`;
  throw new UserError('start_ns: expected rows a fixed time apart', { at });
}

/** @throws UserError a run of more intervals than are ever written, so these are not its own */
export function checkReach(intervalNs: number, endNs: number, path: string): void {
  if (endNs / intervalNs <= mostIntervals) return;
  throw new UserError(`intervals of ${intervalNs} ns, but the run ends at ${endNs} ns`, {
    at: path,
  });
}
