/** Reads cluster files and the models they name from disk. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearest, UserError } from '@astrolabe/base';
import { readJson, readText } from '@astrolabe/base/cli';
import type { EngineOverrides } from '../engine.js';
import type { KvTierFile } from '../kv-tiers.js';
import { type ModelShape, parseModel } from '../model.js';
import { type PimDevice, parsePim } from '../pim.js';
import { resolveCluster } from '../resolve-cluster.js';
import type { Cluster, Instance } from '../resolved-cluster.js';
import { parseSizeTable, type SizeTable } from '../size-table.js';

/** The project's own `cluster_config/models/<org>/<name>.json`. */
const shippedModels = fileURLToPath(new URL('../../../../cluster_config/models', import.meta.url));

const shippedPim = fileURLToPath(new URL('../../../../cluster_config/pim', import.meta.url));

export interface LoadClusterOptions {
  readonly flags?: EngineOverrides;
  readonly kvTiers?: readonly KvTierFile[] | undefined;
  readonly memoryUtilization?: number | undefined;
  readonly deviceMemoryBytes?: number | undefined;
  /** More folders with `<org>/<name>.json`, searched first. */
  readonly modelFolders?: readonly string[];
}

/** @throws UserError naming file and JSON path */
export function loadCluster(path: string, options: LoadClusterOptions = {}): Cluster {
  const folders = [...(options.modelFolders ?? []), shippedModels];
  const cache = new Map<string, ModelShape>();
  const cluster = resolveCluster(readJson(path), path, {
    ...(options.flags === undefined ? {} : { flags: options.flags }),
    kvTiers: options.kvTiers,
    ...(options.memoryUtilization === undefined
      ? {}
      : { memoryUtilization: options.memoryUtilization }),
    ...(options.deviceMemoryBytes === undefined
      ? {}
      : { deviceMemoryBytes: options.deviceMemoryBytes }),
    readSizeTable: (file) => loadSizeTable(resolve(dirname(path), file)),
    findPim: (name) => findPim(name, dirname(path)),
    findModel: (name) => {
      const known = cache.get(name) ?? findModel(name, dirname(path), folders);
      cache.set(name, known);
      return known;
    },
  });
  return { ...cluster, instances: cluster.instances.map((one) => withModulePath(one, path)) };
}

/** Modules are named relative to the cluster file, and loaded by whoever runs them. */
function withModulePath(instance: Instance, clusterFile: string): Instance {
  const { experts } = instance;
  if (experts?.module === undefined) return instance;
  return {
    ...instance,
    experts: { ...experts, module: resolve(dirname(clusterFile), experts.module) },
  };
}

/** @throws UserError with file and JSON path */
export function loadSizeTable(path: string): SizeTable {
  if (!path.endsWith('.json')) {
    throw new UserError('a size table is a .json file', {
      at: path,
      hint: 'profiler-ingest collectives FILE -o TABLE.json makes one of a profile or CSV',
    });
  }
  return parseSizeTable(readJson(path), path);
}

/** A PIM device: a file beside the cluster file, in a folder `pim` there, or a shipped one. */
function findPim(name: string, base: string): PimDevice {
  const file = name.endsWith('.ini') ? name : `${name}.ini`;
  const folders = [base, join(base, 'pim'), shippedPim];
  const found = folders.map((folder) => join(folder, file)).find((path) => existsSync(path));
  if (found !== undefined) return parsePim(readText(found), found);
  const known = existsSync(shippedPim)
    ? readdirSync(shippedPim).map((entry) => entry.replace(/\.ini$/, ''))
    : [];
  throw new UserError(`PIM device "${name}" is unknown`, { hint: `known: ${known.join(', ')}` });
}

/** A model by its name in one of the folders, or by the path of its config.json. */
export function findModel(
  name: string,
  base: string,
  folders: readonly string[] = [shippedModels],
): ModelShape {
  if (name.endsWith('.json')) {
    const path = isAbsolute(name) ? name : join(base, name);
    return parseModel(name, readJson(path), path);
  }
  for (const folder of folders) {
    const path = join(folder, `${name}.json`);
    if (existsSync(path)) return parseModel(name, readJson(path), path);
  }
  const known = folders.flatMap(listModels);
  const guess = nearest(name, known);
  throw new UserError(`model "${name}" is unknown`, {
    hint:
      guess === undefined
        ? `known: ${known.join(', ')}; or give the path of its config.json`
        : `did you mean "${guess}"?`,
  });
}

function listModels(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((org) =>
      readdirSync(join(folder, org.name))
        .filter((file) => file.endsWith('.json'))
        .map((file) => `${org.name}/${file.slice(0, -'.json'.length)}`),
    )
    .sort();
}
