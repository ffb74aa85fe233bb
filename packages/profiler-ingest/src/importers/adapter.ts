/** What a reader of one profiler's CSV looks like; files are told apart by their header. */
import type { ModelShape } from '@astrolabe/config';
import type { ProfileInfo, ProfileTableBuilder } from '@astrolabe/profile';
import type { CsvTable } from './csv.js';

export interface ImportOptions {
  /** TP degree of files that do not say. */
  readonly tp: number;
  /** Names GEMMs that are given by their sizes only. */
  readonly shape: ModelShape | undefined;
  /** Clock of a simulated device whose times are cycles, GHz. */
  readonly clockGHz: number | undefined;
}

interface AdapterResult {
  readonly measurement: ProfileInfo['measurement'];
  readonly source: string;
  readonly notes: readonly string[];
}

export interface CsvAdapter {
  readonly name: string;
  /** Column names or the first data row tell whose file it is. */
  matches(header: readonly string[]): boolean;
  read(csv: CsvTable, options: ImportOptions, into: ProfileTableBuilder): AdapterResult;
}

export function hasAll(header: readonly string[], names: readonly string[]): boolean {
  return names.every((name) => header.includes(name));
}
