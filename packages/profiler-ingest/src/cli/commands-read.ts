/** Commands that read measurements and look at them: import, inspect, accuracy, diff. */
import { UserError } from '@astrolabe/base';
import { positiveInteger, positiveNumber, readText } from '@astrolabe/base/cli';
import type { ModelShape } from '@astrolabe/config';
import { type ProfileTable, tpDegreesOf } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { accuracyLines, accuracyOf } from '../accuracy.js';
import { differenceLines, differences } from '../diff.js';
import { importCsvFiles } from '../importers/import-csv.js';
import { inspectTable, lineSeries } from '../inspect.js';
import { plotSeries } from '../plot.js';
import { importKineto } from './kineto-file.js';
import { loadLatencyModel, loadShape, shapeName } from './load-model.js';
import { type GivenNames, loadTable } from './load-table.js';
import { importNsys } from './nsys-file.js';
import { printLines, writeOutput } from './output.js';

export function withNames(command: Command): Command {
  return command
    .option('--hardware <name>', 'hardware name; by default from the path of a bundle')
    .option('--model <name>', 'model name, <org>/<model>; by default from the path of a bundle')
    .option('--dtype <name>', 'bf16, fp16, fp8, ...; by default from the path, of files bf16');
}

interface ImportFlags {
  readonly tp: number;
  readonly shape?: string;
  readonly clockGhz?: number;
  readonly hostTrace?: string;
  readonly output: string;
}

async function importInputs(
  inputs: readonly string[],
  options: GivenNames & ImportFlags,
): Promise<ProfileTable> {
  const isCsv = inputs.every((path) => /\.csv(\.gz)?$/.test(path));
  const isJson = inputs.length === 1 && /\.json(\.gz)?$/.test(inputs[0]);
  const isSqlite = inputs.length === 1 && /\.sqlite(\.gz)?$/.test(inputs[0]);
  if (!isCsv && !isJson && !isSqlite) {
    if (inputs.length === 1) return loadTable(inputs[0], options);
    throw new UserError('several inputs must all be CSV files', {
      at: inputs.join(' '),
      hint: "of several traces import each, then merge; of several ranks' traces import one",
    });
  }
  const { hardware, dtype = 'bf16' } = options;
  if (hardware === undefined || options.model === undefined) {
    throw new UserError('files without names need --hardware and --model');
  }
  const model = options.model.endsWith('.json') ? shapeName(options.model) : options.model;
  const names = { hardware, model, dtype };
  const shape = shapeOf(options.shape, options.model);
  const reading = { tp: options.tp, shape, clockGHz: options.clockGhz };
  if (isSqlite) return await importNsys(inputs[0], names, reading);
  if (isJson) return await importKineto(inputs[0], names, reading, options.hostTrace);
  return importCsvFiles(
    inputs.map((at) => ({ at, text: readText(at) })),
    names,
    reading,
  );
}

/** Sizes that name GEMMs: those asked for, else the model's where it is a file or a shipped one. */
function shapeOf(file: string | undefined, model: string): ModelShape | undefined {
  if (file !== undefined || model.endsWith('.json')) return loadShape(file ?? model, undefined);
  try {
    return loadShape(model, undefined);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** @throws UserError no such series */
function plotOf(table: ProfileTable, operator: string): string[] {
  const lines = tpDegreesOf(table).flatMap((tp) =>
    lineSeries(table, tp)
      .filter((series) => series.operator === operator)
      .flatMap(({ points }) => ['', ...plotSeries(`${operator}, TP ${tp}`, points)]),
  );
  if (lines.length > 0) return lines;
  throw new UserError(`no dense or per-sequence operator "${operator}"`, {
    hint: `there is ${table.operators.join(', ')}`,
  });
}

export function addReadingCommands(program: Command): void {
  withNames(
    program
      .command('import')
      .description('read measurements of any known profiler, write one Arrow profile')
      .argument(
        '<inputs...>',
        'bundle directory, Kineto .json, Nsight .sqlite, or CSV files told apart by header; .gz too',
      )
      .option('--tp <degree>', 'TP degree of files that do not say', positiveInteger, 1)
      .option(
        '--shape <file>',
        "config.json that names GEMMs given by their sizes only; default: --model's",
      )
      .option('--host-trace <file>', 'PyTorch host trace with the shapes of a Kineto trace')
      .option('--clock-ghz <f>', 'clock of a simulator that reports cycles', positiveNumber)
      .option('-o, --output <file>', 'Arrow file; - is stdout', '-'),
  ).action(async (inputs: string[], options: GivenNames & ImportFlags) => {
    await writeOutput(options.output, encodeProfile(await importInputs(inputs, options)));
  });
  withNames(
    program
      .command('inspect')
      .description('what a profile holds: provenance, grids, missing operators, outliers')
      .argument('<input>', 'Arrow profile or bundle directory')
      .option('--plot <operator>', 'also draws a dense or per-sequence operator'),
  ).action(async (input: string, options: GivenNames & { plot?: string }) => {
    const table = loadTable(input, options);
    await printLines(inspectTable(table));
    if (options.plot !== undefined) await printLines(plotOf(table, options.plot));
  });
  program
    .command('accuracy')
    .description('interpolation error on values left out of the table, beside plain linear')
    .argument('<measured>', 'Arrow profile or bundle directory')
    .action(async (measured: string) => {
      await printLines(accuracyLines(accuracyOf(loadTable(measured, {}))));
    });
  program
    .command('diff')
    .description('how a profile differs from a measured one, at its measured points')
    .argument('<measured>', 'Arrow profile or bundle directory')
    .argument('<other>', 'Arrow profile, fitted JSON or bundle directory')
    .action(async (measured: string, other: string) => {
      const missing = new Set<string>();
      const rows = differences(loadTable(measured, {}), loadLatencyModel(other, {}), missing);
      await printLines(differenceLines(rows));
      if (missing.size > 0) await printLines([`not in ${other}: ${[...missing].join(', ')}`]);
    });
}
