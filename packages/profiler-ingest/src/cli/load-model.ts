/** A model's shape and any profile as a latency model, from files. */
import { readJson } from '@astrolabe/base/cli';
import { type ModelShape, parseModel } from '@astrolabe/config';
import {
  fittedTables,
  type LatencyModel,
  modelOfTable,
  parseFitted,
  TableModel,
} from '@astrolabe/profile';
import { type GivenNames, loadTable } from './load-table.js';
import { modelOfPath } from './open-profiles.js';

/** @param path a Hugging Face config.json. @param name for messages and as the profile's model */
export function loadShape(path: string, name: string | undefined): ModelShape {
  const base = modelOfPath(path).split('/').slice(-2).join('/');
  return parseModel(name ?? base, readJson(path), path);
}

/** @param path fitted JSON, Arrow, or a bundle directory */
export function loadLatencyModel(path: string, names: GivenNames): LatencyModel {
  if (path.endsWith('.json'))
    return new TableModel(fittedTables(parseFitted(readJson(path), path)));
  return modelOfTable(loadTable(path, names));
}
