/** Commands that read measurements and look at them: import, inspect, diff. */
import { UserError } from '@astrolabe/base';
import { positiveInteger, positiveNumber, readText } from '@astrolabe/base/cli';
import type { ProfileTable } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { accuracyLines, accuracyOf } from '../accuracy.js';
import { differenceLines, differences } from '../diff.js';
import { importCsvFiles } from '../importers/import-csv.js';
import { inspectTable } from '../inspect.js';
import { importKineto } from './kineto-file.js';
import { loadLatencyModel, loadShape } from './load-model.js';
import { type GivenNames, loadTable } from './load-table.js';
import { printLines, writeOutput } from './output.js';

export function withNames(command: Command): Command {
  return command
    .option('--hardware <name>', 'hardware name; by default from the path')
    .option('--model <name>', 'model name, <org>/<model>; by default from the path')
    .option('--dtype <name>', 'bf16, fp16, fp8, ...; by default from the path');
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
  if (!isCsv && !isJson) {
    if (inputs.length === 1) return loadTable(inputs[0], options);
    throw new UserError('several inputs must all be CSV files', { at: inputs.join(' ') });
  }
  const { hardware, model, dtype = 'bf16' } = options;
  if (hardware === undefined || model === undefined) {
    throw new UserError('files without names need --hardware and --model');
  }
  const names = { hardware, model, dtype };
  const shape = options.shape === undefined ? undefined : loadShape(options.shape, model);
  const reading = { tp: options.tp, shape, clockGHz: options.clockGhz };
  if (isJson) return await importKineto(inputs[0], names, reading, options.hostTrace);
  return importCsvFiles(
    inputs.map((at) => ({ at, text: readText(at) })),
    names,
    reading,
  );
}

export function addReadingCommands(program: Command): void {
  withNames(
    program
      .command('import')
      .description('read measurements of any known profiler, write one Arrow profile')
      .argument(
        '<inputs...>',
        'bundle directory, Kineto trace, or CSV files told apart by header; .gz too',
      )
      .option('--tp <degree>', 'TP degree of files that do not say', positiveInteger, 1)
      .option('--shape <file>', 'config.json that names GEMMs given by their sizes only')
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
      .argument('<input>', 'Arrow profile or bundle directory'),
  ).action(async (input: string, options: GivenNames) => {
    await printLines(inspectTable(loadTable(input, options)));
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
