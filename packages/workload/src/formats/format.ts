/**
 * How a workload format is read: a format names itself, recognises its records by their keys, and
 * turns them one by one into requests. Pure; lines, CSV and gzip are the caller's business.
 */
import { nsPerS, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';

/** One JSON object, or one CSV row by header (values are then strings). */
export type Row = Readonly<Record<string, unknown>>;

/** A request whose content may still be hashes; `PrefixAttacher` makes its prefix of them. */
export interface Draft {
  readonly request: Request;
  /** One key per block of the prompt, the last possibly partial; equal keys mean equal content. */
  readonly blocks?: readonly (string | number)[];
  readonly blockTokens?: number;
}

export interface RowReader {
  /** @param at place of the row, `file:line` */
  read(row: Row, at: string): readonly Draft[];
  /** Drafts that need the whole file. */
  end?(): readonly Draft[];
  /** What a user should know after the last row: rows left out, assumptions made. */
  notes?(): readonly string[];
}

export interface ReadOptions {
  /** Tokens per content hash where the format leaves it out. Default: the format's own. */
  readonly blockTokens?: number | undefined;
  /** Arrivals for formats without times, ns; asked once per conversation or request. */
  readonly nextArrivalNs?: (() => number) | undefined;
  /** Arrivals will be shifted to 0, so they may count from an epoch. */
  readonly startAtZero?: boolean | undefined;
}

export interface WorkloadFormat {
  readonly name: string;
  readonly about: string;
  readonly syntax: 'jsonl' | 'csv' | 'json';
  /** Alternatives: a record is of this format when all keys of one of them are there. */
  readonly keys: readonly (readonly string[])[];
  /** Keys that a record of this format never has. */
  readonly without?: readonly string[];
  /** Optional keys; any other is reported as ignored. */
  readonly optional: readonly string[];
  open(options: ReadOptions): RowReader;
}

/** Arrivals of a format that has none. @throws UserError when none were given */
export function arrivalSource(options: ReadOptions, at: string): number {
  if (options.nextArrivalNs !== undefined) return options.nextArrivalNs();
  throw new UserError('this format has no arrival times', {
    at,
    hint: 'give `workload convert --rate PER_S` or `--gap-ns NS` (0 is all at once)',
  });
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

/** The field as a list of numbers >= 0. @throws UserError */
export function numbersField(row: Row, name: string, at: string): number[] {
  const value = row[name];
  if (Array.isArray(value) && value.every((item) => typeof item === 'number' && item >= 0)) {
    return value as number[];
  }
  throw new UserError(`${name}: expected a list of numbers >= 0`, { at });
}

/** Content hashes; numbers beyond 2^53 come as strings. */
export function hashesField(row: Row, name: string, at: string): (string | number)[] | undefined {
  const value = row[name];
  if (value === undefined || value === null) return undefined;
  const isHash = (item: unknown): boolean => typeof item === 'number' || typeof item === 'string';
  if (Array.isArray(value) && value.every(isHash)) return value as (string | number)[];
  throw new UserError(`${name}: expected a list of hashes`, { at });
}

/** A field that must be a JSON object. @throws UserError */
export function objectField(row: Row, name: string, at: string): Row {
  const value = row[name];
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Row;
  throw new UserError(`${name}: expected an object`, { at });
}

export function secondsToNs(seconds: number): number {
  return Math.round(seconds * nsPerS);
}

/** Counts rows left out, for `notes`. */
export class Dropped {
  private readonly counts = new Map<string, number>();

  add(reason: string): readonly Draft[] {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
    return [];
  }

  notes(): string[] {
    return [...this.counts].map(([reason, count]) => `left out ${count} rows: ${reason}`);
  }
}
