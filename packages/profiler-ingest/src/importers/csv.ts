/** CSV with a header row, read by column name; every error names file and line. */
import { UserError } from '@astrolabe/base';
import Papa from 'papaparse';

/** One CSV file's rows with its header. */
export class CsvTable {
  readonly at: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];

  /** @param at file name for messages. @throws UserError broken CSV, no header */
  constructor(text: string, at: string) {
    this.at = at;
    const { data, errors } = Papa.parse<string[]>(text, { skipEmptyLines: true, delimiter: ',' });
    if (errors.length > 0) {
      const { message, row } = errors[0];
      throw new UserError(`not valid CSV: ${message}`, { at: `${at}:${(row ?? 0) + 1}` });
    }
    if (data.length === 0) throw new UserError('empty file, expected a CSV header', { at });
    this.header = data[0].map((name) => name.trim());
    data.shift();
    this.rows = data;
    if (data.length === 0) throw new UserError('no rows after the header', { at });
    const width = this.header.length;
    const ragged = data.findIndex((row) => row.length !== width);
    if (ragged >= 0) {
      throw new UserError(`expected ${width} fields, got ${data[ragged].length}`, {
        at: this.place(ragged),
        ...(ragged === data.length - 1 && { hint: 'the file may be cut short' }),
      });
    }
  }

  /** @throws UserError a required column is missing */
  column(name: string): number {
    const index = this.header.indexOf(name);
    if (index < 0) {
      throw new UserError(`column "${name}" is missing`, {
        at: `${this.at}:1`,
        hint: `found ${this.header.join(', ')}`,
      });
    }
    return index;
  }

  /** Line of row `index` in the file, 1-based. Fields here have no line breaks. */
  place(index: number): string {
    return `${this.at}:${index + 2}`;
  }

  /** @throws UserError not a finite number */
  number(row: number, column: number): number {
    const text = this.rows[row][column];
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) {
      throw new UserError(`${this.header[column]}: expected a number, got "${text}"`, {
        at: this.place(row),
      });
    }
    return value;
  }

  /** @throws UserError not an integer >= 0 */
  count(row: number, column: number): number {
    const value = this.number(row, column);
    if (!Number.isInteger(value) || value < 0) {
      throw new UserError(`${this.header[column]}: expected an integer >= 0, got "${value}"`, {
        at: this.place(row),
      });
    }
    return value;
  }

  /** A duration in the given unit as integer ns, at least 1. @throws UserError negative, or beyond 2^53 */
  durationNs(row: number, column: number, nsPerUnit: number): number {
    const value = this.number(row, column);
    if (value < 0) {
      throw new UserError(`${this.header[column]}: negative duration "${value}"`, {
        at: this.place(row),
      });
    }
    const durationNs = Math.round(value * nsPerUnit);
    if (durationNs > Number.MAX_SAFE_INTEGER) {
      throw new UserError(`${this.header[column]}: ${durationNs} ns, expected at most 2^53 ns`, {
        at: this.place(row),
      });
    }
    return Math.max(1, durationNs);
  }
}
