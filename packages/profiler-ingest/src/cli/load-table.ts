/** Any profile on disk as one table: our Arrow files and raw bundles. */
import { existsSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { UserError } from '@astrolabe/base';
import { readBytes } from '@astrolabe/base/cli';
import type { ProfileTable } from '@astrolabe/profile';
import { decodeProfile } from '@astrolabe/profile/arrow';
import { findProfiles } from './open-profiles.js';
import { importV0Bundle } from './v0-bundle.js';
import { findFile, importV1Bundle, type ProfileNames, tpFolders } from './v1-bundle.js';

export type GivenNames = { readonly [name in keyof ProfileNames]?: string | undefined };

/** @throws UserError nothing readable there */
export function loadTable(path: string, given: GivenNames): ProfileTable {
  if (path === '-' || !existsSync(path))
    throw new UserError('no such file or directory', { at: path });
  if (statSync(path).isFile()) return loadFile(path);
  if (tpFolders(path).length > 0) return importBundle(path, given);
  const inside = findProfiles(path).filter((entry) => entry.form !== 'fitted');
  if (inside.length === 1) {
    const [entry] = inside;
    if (entry.form === 'arrow') return decodeProfile(readBytes(entry.path), entry.path);
    return importBundle(entry.path, given);
  }
  throw new UserError(`${inside.length} profiles here, expected one`, {
    at: path,
    hint: inside.map((entry) => entry.path).join(', ') || 'expected tpN folders',
  });
}

/** @throws UserError not an Arrow profile */
function loadFile(path: string): ProfileTable {
  if (path.endsWith('.json')) {
    throw new UserError('a fitted model, expected measurements', { at: path });
  }
  if (/\.csv(\.gz)?$/.test(path)) {
    throw new UserError('CSV needs names', { at: path, hint: 'profiler-ingest import reads it' });
  }
  return decodeProfile(readBytes(path), path);
}

/** .../<hardware>/<org>/<model>/<dtype> (v1) or .../<hardware>/<org>/<model> (v0), unless given. */
function importBundle(path: string, given: GivenNames): ProfileTable {
  const parts = resolve(path).split(sep);
  const isV0 = findFile(join(path, `tp${tpFolders(path)[0]}`, 'layers.csv')) !== undefined;
  if (isV0) parts.push('bf16');
  const [hardware, org, model, dtype] = parts.slice(-4);
  const names = { hardware, model: `${org}/${model}`, dtype, ...dropUndefined(given) };
  return isV0 ? importV0Bundle(path, names) : importV1Bundle(path, names);
}

function dropUndefined({ hardware, model, dtype }: GivenNames): Partial<ProfileNames> {
  const names = Object.entries({ hardware, model, dtype });
  return Object.fromEntries(names.filter(([, value]) => value !== undefined));
}
