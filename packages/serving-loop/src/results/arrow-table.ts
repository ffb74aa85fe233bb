/** Result rows as Arrow. Loaded only where it is asked for: Arrow would slow down every start. */
import { Float64, Int64, Table, tableToIPC, type Vector, vectorFromArray } from 'apache-arrow';
import { type Cell, type Row, snakeCase } from './table.js';

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
