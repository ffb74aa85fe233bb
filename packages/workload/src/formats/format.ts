/**
 * How a workload format is read: a format names itself, recognises its records by their keys, and
 * turns them one by one into requests. Pure; lines, CSV and gzip are the caller's business.
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '../request.js';

/** One JSON object, or one CSV row by header (values are then strings). */
export type Row = Readonly<Record<string, unknown>>;

export interface RowReader {
  /** @param at place of the row, `file:line` */
  read(row: Row, at: string): readonly Request[];
  /** Requests that need the whole file. */
  end?(): readonly Request[];
}

export interface ReadOptions {
  /** Tokens per content hash where the format leaves it out. Default: the format's own. */
  readonly blockTokens?: number | undefined;
  /** ns between requests of formats without arrival times. */
  readonly gapNs?: number | undefined;
}

export interface WorkloadFormat {
  readonly name: string;
  readonly about: string;
  readonly syntax: 'jsonl' | 'csv' | 'json' | 'yaml+csv';
  /** Keys that all must be there for a record to be of this format. */
  readonly keys: readonly string[];
  /** Several alternatives, where one list of keys cannot say it. */
  readonly alsoKeys?: readonly (readonly string[])[];
  /** Optional keys; any other is reported as ignored. */
  readonly optional: readonly string[];
  open(options: ReadOptions): RowReader;
}

/** Integer field; CSV strings are converted. @throws UserError naming `at` and the field */
export function integerField(row: Row, name: string, at: string): number {
  const value = numberField(row, name, at);
  if (Number.isSafeInteger(value)) return value;
  throw new UserError(`${name}: expected an integer, got ${JSON.stringify(row[name])}`, { at });
}

export function numberField(row: Row, name: string, at: string): number {
  const value = row[name];
  if (value === undefined) throw new UserError(`${name} is missing`, { at });
  const parsed = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof parsed === 'number' && Number.isFinite(parsed)) return parsed;
  throw new UserError(`${name}: expected a number, got ${JSON.stringify(value)}`, { at });
}

/** The field as text, undefined when missing, null or empty. */
export function textField(row: Row, name: string): string | undefined {
  const value = row[name];
  if (value === undefined || value === null || value === '') return undefined;
  return String(value);
}

export function hasField(row: Row, name: string): boolean {
  return row[name] !== undefined && row[name] !== null && row[name] !== '';
}

/** List of integers, e.g. token ids; undefined when the field is missing or null. */
export function integersField(row: Row, name: string, at: string): number[] | undefined {
  const value = row[name];
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    return value as number[];
  }
  throw new UserError(`${name}: expected a list of integers >= 0`, { at });
}

/** Decimal text times a power of ten as an exact integer; half a unit rounds up. */
export function secondsToNs(seconds: number): number {
  return Math.round(seconds * 1e9);
}
