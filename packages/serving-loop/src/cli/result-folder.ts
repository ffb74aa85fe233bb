/**
 * The folder a run leaves behind. Every file appears whole; `run.json`, the manifest, comes last and
 * says whether the run is complete.
 */
import { rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { makeFolder, version, writeFileWhole } from '@astrolabe/base/cli';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';
import type { RequestResult } from '../metrics.js';
import { featureFileNames, featureFiles } from '../results/feature-files.js';
import { intervalColumns, requestColumnsOf, toCsv, toNdjson } from '../results/table.js';
import type { CarrierOptions } from './carrier-options.js';
import { StageError } from './carriers/stage.js';
import { LineFile } from './line-file.js';
import type { ServingOptions } from './options.js';
import type { Served } from './serve.js';
import { shippedProfiles } from './shipped-profiles.js';

const files = [
  'run.json',
  'requests.csv',
  'iterations.ndjson',
  'completions.ndjson',
  'intervals.csv',
  'summary.json',
];

export class ResultFolder {
  private readonly path: string;
  private readonly iterations: LineFile;
  private readonly completions: LineFile;

  /** Removes the results of an earlier run, so that old and new never mix. */
  constructor(path: string) {
    this.path = path;
    makeFolder(path);
    this.clear();
    this.iterations = new LineFile(join(path, 'iterations.ndjson'));
    this.completions = new LineFile(join(path, 'completions.ndjson'));
  }

  readonly onIteration = (iteration: Iteration): void => {
    this.iterations.write(JSON.stringify(iteration));
  };

  /** Among the iterations, in the order in which the machine gets both. */
  readonly onTransfer = (transfer: Transfer): void => {
    this.iterations.write(JSON.stringify(transfer));
  };

  readonly onCompletion = (completion: Completion): void => {
    this.completions.write(JSON.stringify(completion));
  };

  /** All files, or, when one cannot be written, none. */
  commit(served: Served, options: ServingOptions): void {
    try {
      this.writeAll(served, options);
    } catch (error) {
      this.iterations.discard();
      this.completions.discard();
      this.clear();
      throw error;
    }
  }

  private clear(): void {
    for (const file of [...files, ...featureFileNames]) {
      rmSync(join(this.path, file), { force: true });
    }
  }

  private writeAll(served: Served, options: ServingOptions): void {
    const { run, results, summary, inputs } = served;
    this.iterations.commit();
    this.completions.commit();
    const write = (name: string, data: string): void => writeFileWhole(join(this.path, name), data);
    write('requests.csv', toCsv(results, requestColumnsOf(results)));
    write(
      'intervals.csv',
      toCsv(
        run.series.intervals.map((i) => ({ ...i })),
        intervalColumns,
      ),
    );
    write('summary.json', `${JSON.stringify(summary, null, 2)}\n`);
    const features = featureFiles(run, results);
    for (const { name, text } of features) write(name, text);
    const manifest = {
      tool: 'serving-loop',
      version,
      complete: summary.complete,
      seed: options.seed,
      options: manifestOptions(options),
      inputsSha256: inputs,
      files: [...files.filter((name) => name !== 'run.json'), ...features.map((file) => file.name)],
    };
    write('run.json', `${JSON.stringify(manifest, null, 2)}\n`);
  }

  /** Leaves no results. A run that broke off half-way says so in its manifest. */
  discard(error: unknown, options: ServingOptions): void {
    this.iterations.discard();
    this.completions.discard();
    if (!(error instanceof StageError)) return;
    const manifest = {
      tool: 'serving-loop',
      version,
      complete: false,
      error: error.message,
      seed: options.seed,
      options: manifestOptions(options),
      files: [],
    };
    writeFileWhole(join(this.path, 'run.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  }
}

function manifestOptions(options: ServingOptions): Record<string, unknown> {
  const { output: _output, requestsOutput: _requests, quiet: _quiet, stages, ...rest } = options;
  // The same run in another checkout leaves the same manifest.
  const profiles = rest.profiles === shippedProfiles ? 'shipped' : rest.profiles;
  return { ...rest, profiles, ...foreignStages(stages) };
}

/** The carrier does not change results, another program as a stage does. */
function foreignStages(stages: CarrierOptions | undefined): Record<string, unknown> {
  if (stages === undefined) return {};
  const { traceGenerator, systemSimulator } = stages;
  return {
    ...(traceGenerator === undefined ? {} : { traceGenerator: traceGenerator.join(' ') }),
    ...(systemSimulator === undefined ? {} : { systemSimulator: systemSimulator.join(' ') }),
  };
}

const requestFormats = ['.csv', '.ndjson', '.jsonl', '.arrow'];

/** @throws UserError when the file's name asks for a format that we do not write */
export function checkRequestsOutput(path: string | undefined): void {
  const suffix = path === undefined ? '' : extname(path);
  if (suffix === '' || requestFormats.includes(suffix)) return;
  throw new UserError(`unknown format "${suffix}", expected one of ${requestFormats.join(', ')}`, {
    at: `--requests-output ${path}`,
  });
}

/** Per-request results in the format its file name asks for; NDJSON where it asks for none. */
export async function encodeRequests(
  results: readonly RequestResult[],
  path: string,
): Promise<string | Uint8Array> {
  if (path.endsWith('.csv')) return toCsv(results, requestColumnsOf(results));
  if (path.endsWith('.arrow')) {
    const { toArrow } = await import('../results/arrow-table.js');
    return toArrow(results, requestColumnsOf(results));
  }
  return toNdjson(results);
}
