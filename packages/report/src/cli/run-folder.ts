/** Folders of runs that ended before their results were written: what ended them is in `run.json`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith, UserError } from '@astrolabe/base';
import { readJson } from '@astrolabe/base/cli';
import { z } from 'zod';

const manifestSchema = z.looseObject({ error: z.string().optional() });

/**
 * The path of a result of a run.
 * @throws UserError it is not there, and the run says why; else whoever reads it does
 */
export function resultOf(folder: string, name: string): string {
  const path = join(folder, name);
  const manifest = join(folder, 'run.json');
  if (existsSync(path) || !existsSync(manifest)) return path;
  const { error } = parseWith(manifestSchema, readJson(manifest), manifest);
  if (error === undefined) return path;
  const cause = error.split('\n', 1)[0].replace(/; its last stderr lines:$/, '');
  throw new UserError(`this run has no ${name}: ${cause}`, { at: folder });
}
