/** Measured runs, whoever measured them: what a path holds decides how it is read. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { openInput, readJson, readNdjson } from '@astrolabe/base/cli';
import type { RunData } from '../../run-data.js';
import { readSimulated } from '../read-simulated.js';
import { readAiperf } from './aiperf.js';
import { readBenchFolder } from './llmservingsim-bench.js';
import { readVllmBench } from './vllm-bench.js';

/** For `--real`. */
export const realHelp =
  "measured run: a folder with requests.jsonl, a vLLM bench result (JSON), AIPerf's JSONL";

/** For `--real` where it may be a simulated one, too. */
export const otherHelp = `${realHelp}; or a folder of serving-loop, to compare two simulated runs`;

/**
 * What a run is compared with: a measured run, or a simulated one.
 * @throws UserError with file and line or key
 */
export async function readOtherRun(path: string): Promise<RunData> {
  const has = (name: string): boolean => existsSync(join(path, name));
  if (has('requests.jsonl') || !has('run.json')) return await readRealRun(path);
  return { ...readSimulated(path), simulated: true };
}

/** @throws UserError with file and line or key */
export async function readRealRun(path: string): Promise<RunData> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new UserError('no such file or folder', { at: path });
  if (found.isDirectory()) return await readBenchFolder(path);
  const first = await firstObject(path);
  if ('ttfts' in first || 'input_lens' in first) return readVllmBench(readJson(path), path);
  if ('metadata' in first && 'metrics' in first) return await readAiperf(path);
  throw new UserError(
    'is no measured run that is known: expected the lists of a vLLM bench result (input_lens, ttfts, ...) ' +
      'or the lines of AIPerf (metadata, metrics)',
    { at: path },
  );
}

/** A result that was written over several lines is read whole. */
async function firstObject(path: string): Promise<object> {
  const lines = readNdjson(openInput(path), path);
  try {
    const { value } = await lines.next();
    return Object(value?.value);
  } catch {
    return Object(readJson(path));
  } finally {
    await lines.return(undefined);
  }
}
