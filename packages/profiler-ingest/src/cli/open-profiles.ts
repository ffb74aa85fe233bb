/**
 * A directory of profiles as latency models by name. Under <hardware>/<org>/<model>/ it may hold
 * <dtype>.arrow (ours), <dtype>.json (fitted), <dtype>/tpN/ (a raw LLMServingSim v1 bundle) or tpN/
 * (v0). Files are listed at once and read when first asked for.
 */
import { type Dirent, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { askedBy, assert, nearest, UserError } from '@astrolabe/base';
import { fileError, readBytes, readJson } from '@astrolabe/base/cli';
import type { Instance } from '@astrolabe/config';
import {
  fittedTables,
  kvDtypeOfProfile,
  type LatencyModel,
  modelOfTable,
  operatorPowerOf,
  type ProfileTable,
  parseFitted,
  TableModel,
} from '@astrolabe/profile';
import { openV0Bundle } from './v0-bundle.js';
import { findFile, openV1Bundle, type ProfileNames } from './v1-bundle.js';

export interface Profiles {
  /**
   * @param dtype as in a cluster config (`bfloat16`) or short (`bf16`); may be left out when there is
   *   one, or a bf16 one
   * @param kvDtype of the KV cache: a profile that was measured with it (`bf16-kvfp8`) is preferred
   * @throws UserError unknown names, with what is there
   */
  latencyModel(hardware: string, model: string, dtype?: string, kvDtype?: string): LatencyModel;
  readonly entries: readonly ProfileEntry[];
}

type Form = 'arrow' | 'fitted' | 'v1' | 'v0';

/** One profile found in the directory. */
export interface ProfileEntry extends ProfileNames {
  readonly form: Form;
  readonly path: string;
}

/** @throws UserError no such directory, or nothing in it */
export async function openProfiles(directory: string): Promise<Profiles> {
  const entries = findProfiles(directory);
  if (entries.length === 0) {
    throw new UserError('no profiles here', {
      at: directory,
      hint: 'expected <hardware>/<org>/<model>/<dtype>.arrow, .json, or a raw bundle with tpN folders',
    });
  }
  // Arrow's library takes 0.1 s to load: only for directories that need it.
  const isArrow = entries.some((entry) => entry.form === 'arrow');
  const decode = isArrow ? (await import('@astrolabe/profile/arrow')).decodeProfile : undefined;
  const models = new Map<ProfileEntry, LatencyModel>();
  return {
    entries,
    latencyModel(hardware, model, dtype, kvDtype) {
      const entry = choose(directory, entries, { hardware, model, dtype, kvDtype });
      const known = models.get(entry);
      if (known !== undefined) return known;
      const opened = openers[entry.form](entry, decode);
      checkDtype(entry, opened);
      models.set(entry, opened);
      return opened;
    },
  };
}

/** Of an instance; what is refused names its place in the cluster file. */
export function latencyModelOf(
  profiles: Profiles,
  { hardware, model, engine, place }: Instance,
): LatencyModel {
  return askedBy(place, () =>
    profiles.latencyModel(hardware, model.name, engine.dtype, engine.kvCacheDtype),
  );
}

type DecodeProfile = (bytes: Uint8Array, at: string) => ProfileTable;

const openers: Record<Form, (entry: ProfileEntry, decode?: DecodeProfile) => LatencyModel> = {
  arrow: (entry, decode) => {
    assert(decode !== undefined, 'the Arrow codec is loaded when there are Arrow profiles');
    const table = decode(readBytes(entry.path), entry.path);
    const model = modelOfTable(table);
    model.power = operatorPowerOf(table);
    return model;
  },
  v1: (entry) => new TableModel(openV1Bundle(entry.path, entry)),
  v0: (entry) => new TableModel(openV0Bundle(entry.path, entry)),
  fitted: (entry) => new TableModel(fittedTables(parseFitted(readJson(entry.path), entry.path))),
};

/** Times of another type, of operators or of the cache, would be taken without anybody knowing. */
function checkDtype({ path, dtype }: ProfileEntry, { dtype: inside }: LatencyModel): void {
  if (shortProfileDtype(dtype) === shortProfileDtype(inside)) return;
  throw new UserError(`is of dtype "${inside}", which its name does not say: "${dtype}"`, {
    at: path,
  });
}

/** Measured before fitted, ours before raw. */
const formOrder: readonly Form[] = ['arrow', 'v1', 'v0', 'fitted'];

/** What v0 bundles were measured in; they do not say. */
const v0Dtype = 'bf16';

/** All profiles below a directory, in a stable order. */
export function findProfiles(directory: string): ProfileEntry[] {
  const entries: ProfileEntry[] = [];
  walk(directory, directory, entries);
  return entries.sort((a, b) => formOrder.indexOf(a.form) - formOrder.indexOf(b.form));
}

function walk(root: string, directory: string, into: ProfileEntry[]): void {
  const found = list(directory);
  const degree = found.find((entry) => entry.isDirectory() && /^tp\d+$/.test(entry.name));
  if (degree !== undefined) {
    // The older bundles have no folder for the dtype.
    const isV0 = findFile(join(directory, degree.name, 'layers.csv')) !== undefined;
    const names = namesOf(root, isV0 ? join(directory, v0Dtype) : directory);
    if (names !== undefined) into.push({ ...names, form: isV0 ? 'v0' : 'v1', path: directory });
    return;
  }
  for (const entry of found) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) walk(root, path, into);
    else {
      const match = /^(.+)\.(arrow|json)$/.exec(path);
      const names = match === null ? undefined : namesOf(root, match[1]);
      if (match === null || names === undefined) continue;
      into.push({ ...names, form: match[2] === 'arrow' ? 'arrow' : 'fitted', path });
    }
  }
}

function list(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new UserError('no such directory', { at: directory });
    }
    throw fileError(directory, error);
  }
}

/** <hardware>/<model, one or more parts>/<dtype>; undefined for anything shallower. */
function namesOf(root: string, path: string): ProfileNames | undefined {
  const parts = relative(root, path).split(sep);
  if (parts.length < 3) return undefined;
  return {
    hardware: parts[0],
    model: parts.slice(1, -1).join('/'),
    dtype: parts[parts.length - 1],
  };
}

const shortDtypes: Record<string, string> = {
  bfloat16: 'bf16',
  float16: 'fp16',
  half: 'fp16',
  float32: 'fp32',
  float8_e4m3fn: 'fp8',
};

/** As profiles are called: `bf16` for `bfloat16`. */
export function shortDtype(dtype: string): string {
  return shortDtypes[dtype] ?? dtype;
}

/** The same of both types in a profile's name: `bf16-kvfp8`. */
function shortProfileDtype(dtype: string): string {
  const kv = kvDtypeOfProfile(dtype);
  if (kv === undefined) return shortDtype(dtype);
  return `${shortDtype(dtype.slice(0, -`-kv${kv}`.length))}-kv${shortDtype(kv)}`;
}

interface Asked {
  readonly hardware: string;
  readonly model: string;
  readonly dtype: string | undefined;
  readonly kvDtype: string | undefined;
}

function choose(
  directory: string,
  entries: readonly ProfileEntry[],
  { hardware, model, dtype, kvDtype }: Asked,
): ProfileEntry {
  const ofHardware = entries.filter((entry) => entry.hardware === hardware);
  if (ofHardware.length === 0) {
    throw unknown(directory, 'hardware', hardware, names(entries, 'hardware'));
  }
  const ofModel = ofHardware.filter((entry) => sameModel(entry.model, model));
  if (ofModel.length === 0) {
    throw unknown(`${directory}/${hardware}`, 'model', model, names(ofHardware, 'model'));
  }
  const short = dtype === undefined ? undefined : shortDtype(dtype);
  const own = `${short ?? 'bf16'}-kv${shortDtype(kvDtype ?? '')}`;
  const exact =
    ofModel.find((entry) => shortProfileDtype(entry.dtype) === own) ??
    ofModel.find((entry) => shortProfileDtype(entry.dtype) === (short ?? 'bf16'));
  if (exact !== undefined) return exact;
  const dtypes = names(ofModel, 'dtype');
  if (short === undefined && dtypes.length === 1) return ofModel[0];
  throw unknown(`${directory}/${hardware}/${ofModel[0].model}`, 'dtype', short ?? '', dtypes);
}

/**
 * The organisation may be left out; a config's path stands for the model it ends in, with Hugging
 * Face's file name (`org/name/config.json`) or ours (`org/name.json`).
 */
function sameModel(known: string, asked: string): boolean {
  const name = modelOfPath(asked);
  const short = known.slice(known.lastIndexOf('/') + 1);
  return known === asked || known === name || short === name || name.endsWith(`/${known}`);
}

export function modelOfPath(path: string): string {
  return path.replace(/(\/config)?\.json$/, '');
}

function names(entries: readonly ProfileEntry[], key: keyof ProfileNames): string[] {
  return [...new Set(entries.map((entry) => entry[key]))];
}

function unknown(at: string, what: string, asked: string, known: readonly string[]): UserError {
  const guess = nearest(asked, known);
  const likely = guess === undefined ? '' : `did you mean "${guess}"? `;
  return new UserError(`no profile for ${what} "${asked}"`, {
    at,
    hint: `${likely}there is ${known.join(', ')}; profiler-ingest roofline makes one of a data sheet`,
  });
}
