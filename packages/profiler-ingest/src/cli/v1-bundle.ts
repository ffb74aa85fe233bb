/** Reads an LLMServingSim v1 bundle from disk, `.csv` or `.csv.gz`, one TP degree at a time. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { readText } from '@astrolabe/base/cli';
import {
  measuredTables,
  type ProfileInfo,
  type ProfileTable,
  ProfileTableBuilder,
  type TableSource,
} from '@astrolabe/profile';
import { CsvTable } from '../importers/csv.js';
import { readV1Table, type V1Table, v1Info, v1Tables } from '../importers/llmservingsim-v1.js';
import { findDevice } from './devices.js';

export interface ProfileNames {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string;
}

/** `file`, or `file.gz` when only that exists; undefined when neither does. */
export function findFile(file: string): string | undefined {
  if (existsSync(file)) return file;
  return existsSync(`${file}.gz`) ? `${file}.gz` : undefined;
}

/** TP degrees of the `tpN` folders in a directory, ascending. */
export function tpFolders(directory: string): number[] {
  return readdirSync(directory)
    .map((name) => /^tp([1-9]\d*)$/.exec(name))
    .filter((match) => match !== null)
    .map((match) => Number(match[1]))
    .sort((a, b) => a - b);
}

/** @param directory holds meta.yaml and tpN folders. @throws UserError */
export function openV1Bundle(directory: string, names: ProfileNames): TableSource {
  const info = bundleInfo(directory, names);
  const read = (tp: number, names: readonly V1Table[]): ProfileTable => {
    const builder = new ProfileTableBuilder();
    readTp(directory, tp, names, builder);
    return builder.build(info);
  };
  const lookedUp = v1Tables.filter((name) => name !== 'skew');
  return measuredTables(
    info,
    degreesOf(directory),
    (tp) => read(tp, lookedUp),
    (tp) => read(tp, ['skew']),
  );
}

/** All TP degrees in one table. */
export function importV1Bundle(directory: string, names: ProfileNames): ProfileTable {
  const builder = new ProfileTableBuilder();
  for (const tp of degreesOf(directory)) readTp(directory, tp, v1Tables, builder);
  return builder.build(bundleInfo(directory, names));
}

function degreesOf(directory: string): number[] {
  const tpDegrees = tpFolders(directory);
  if (tpDegrees.length === 0) throw new UserError('no tpN folder here', { at: directory });
  return tpDegrees;
}

function bundleInfo(directory: string, names: ProfileNames): ProfileInfo {
  const metaFile = findFile(join(directory, 'meta.yaml'));
  const meta = metaFile === undefined ? undefined : readText(metaFile);
  const device = findDevice(names.hardware);
  return v1Info(names, meta, metaFile ?? directory, device?.compute_units);
}

function readTp(
  directory: string,
  tp: number,
  tables: readonly V1Table[],
  into: ProfileTableBuilder,
): void {
  let found = 0;
  for (const name of tables) {
    const file = findFile(join(directory, `tp${tp}`, `${name}.csv`));
    if (file === undefined) continue;
    readV1Table(name, new CsvTable(readText(file), file), tp, into);
    found++;
  }
  if (found === 0 && tables.length > 1) {
    throw new UserError('no profile table here', {
      at: join(directory, `tp${tp}`),
      hint: `expected ${v1Tables.map((name) => `${name}.csv`).join(', ')}`,
    });
  }
}
