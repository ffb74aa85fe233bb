/** Opens an Nsight Systems sqlite export (in memory, through WebAssembly: no native module). */
import { UserError } from '@astrolabe/base';
import { readBytes } from '@astrolabe/base/cli';
import type { ProfileInfo, ProfileTable } from '@astrolabe/profile';
import initSqlJs, { type Database } from 'sql.js';
import type { ImportOptions } from '../importers/adapter.js';
import { KinetoCollector } from '../importers/kineto.js';
import { nsysEvents, type SqliteReader } from '../importers/nsys-sqlite.js';

/** @throws UserError not a sqlite file, or without CUDA tables */
export async function importNsys(
  path: string,
  names: Pick<ProfileInfo, 'hardware' | 'model' | 'dtype'>,
  options: ImportOptions,
): Promise<ProfileTable> {
  const bytes = readBytes(path);
  const magic = new TextDecoder().decode(bytes.subarray(0, 15));
  if (magic !== 'SQLite format 3') throw new UserError('not a sqlite file', { at: path });
  const sql = await initSqlJs();
  const database = new sql.Database(bytes);
  try {
    const collector = new KinetoCollector();
    for (const event of nsysEvents(readerOf(database), path)) collector.add(event, path);
    const table = collector.finish(names, options, path);
    const source = table.info.source.replace('PyTorch profiler trace', 'Nsight Systems export');
    return { ...table, info: { ...table.info, source } };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`damaged sqlite file: ${(error as Error).message}`, { at: path });
  } finally {
    database.close();
  }
}

function readerOf(database: Database): SqliteReader {
  return {
    *all(query) {
      const statement = database.prepare(query);
      try {
        while (statement.step()) yield statement.getAsObject();
      } finally {
        statement.free();
      }
    },
  };
}
