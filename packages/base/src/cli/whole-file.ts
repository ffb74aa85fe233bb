/** Files appear whole, written beside their place and then renamed, or not at all. */
import {
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileError } from './io.js';

/**
 * Where a file is written before it gets its name. Behind a link that is beside the link's file. Devices,
 * pipes and sockets are written in place: a rename would put a file where they are.
 */
export interface WholeFile {
  readonly path: string;
  /** Equal to `path` when written in place. */
  readonly temporary: string;
}

/** A folder and those above it. Node's own way never ends where the system says ENOENT, as in /proc. */
export function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    // Another command made it meanwhile.
    if (!(isExisting(error) && statSync(path).isDirectory())) throw error;
  }
}

function isExisting(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}

export function wholeFile(path: string): WholeFile {
  makeFolder(dirname(path));
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { path, temporary: temporaryOf(path) };
  if (!found.isFile() && !found.isDirectory()) return { path, temporary: path };
  const target = realpathSync(path);
  return { path: target, temporary: temporaryOf(target) };
}

/** Of a temporary name; other hosts and containers, whose processes are not seen here, have their own. */
const owner = hostname()
  .replace(/[^\w-]/g, '')
  .slice(0, 40);

function temporaryOf(path: string): string {
  removeLeftovers(path);
  return `${path}.${owner}.${process.pid}.tmp`;
}

/** A folder to the names in it that end as temporary ones do; read once per process. */
const temporaryNames = new Map<string, readonly string[]>();

/** A command that was killed could not clean up after itself; the next writer of the file does. */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  let names = temporaryNames.get(folder);
  if (names === undefined) {
    names = temporaryNamesIn(folder);
    temporaryNames.set(folder, names);
  }
  const prefix = `${basename(path)}.${owner}.`;
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const pid = /^([1-9]\d*)\.tmp$/.exec(name.slice(prefix.length))?.[1];
    if (pid !== undefined && hasEnded(Number(pid))) rmSync(join(folder, name), { force: true });
  }
}

function temporaryNamesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.tmp'));
  } catch {
    // A folder that may be written to but not listed.
    return [];
  }
}

function hasEnded(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Gives a file its name. */
export function commitWhole({ path, temporary }: WholeFile): void {
  if (temporary !== path) renameSync(temporary, path);
}

export function discardWhole({ path, temporary }: WholeFile): void {
  if (temporary !== path) rmSync(temporary, { force: true });
}

/** Writes a file whole: to a temporary name in the same folder, then renamed. */
export function writeFileWhole(path: string, data: string | Uint8Array): void {
  const file = wholeFile(path);
  try {
    writeFileSync(file.temporary, data);
    commitWhole(file);
  } catch (error) {
    discardWhole(file);
    throw fileError(path, error);
  }
}

/** Writes all bytes to an open file; a single `writeSync` may write fewer, as on a disk that fills up. */
export function writeFully(descriptor: number, bytes: Uint8Array, path: string): void {
  try {
    let done = 0;
    while (done < bytes.length) done += writeSync(descriptor, bytes, done);
  } catch (error) {
    throw fileError(path, error);
  }
}
