/** A model's shape and any profile as a latency model, from files. */
import { existsSync } from 'node:fs';
import { readJson } from '@astrolabe/base/cli';
import { type ModelShape, parseModel } from '@astrolabe/config';
import { findModel } from '@astrolabe/config/cli';
import {
  fittedTables,
  type LatencyModel,
  modelOfTable,
  parseFitted,
  TableModel,
} from '@astrolabe/profile';
import { type GivenNames, loadTable } from './load-table.js';
import { modelOfPath } from './open-profiles.js';

/**
 * @param model a Hugging Face config.json, or the name of a shipped one
 * @param name for messages and as the profile's model
 */
export function loadShape(model: string, name: string | undefined): ModelShape {
  const shownAs = name ?? shapeName(model);
  if (model.endsWith('.json') || existsSync(model)) {
    return parseModel(shownAs, readJson(model), model);
  }
  return { ...findModel(model, '.'), name: shownAs };
}

/** What a profile calls the model of a path: its last two parts. */
export function shapeName(model: string): string {
  return modelOfPath(model).split('/').slice(-2).join('/');
}

/** @param path fitted JSON, Arrow, or a bundle directory */
export function loadLatencyModel(path: string, names: GivenNames): LatencyModel {
  if (path.endsWith('.json'))
    return new TableModel(fittedTables(parseFitted(readJson(path), path)));
  return modelOfTable(loadTable(path, names));
}
