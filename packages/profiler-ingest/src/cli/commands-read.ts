/** Commands that read measurements and look at them: import, inspect, diff. */
import { UserError } from '@astrolabe/base';
import { positiveInteger, positiveNumber, readText } from '@astrolabe/base/cli';
import type { ProfileTable } from '@astrolabe/profile';
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { differenceLines, differences } from '../diff.js';
import { importCsvFiles } from '../importers/import-csv.js';
import { inspectTable } from '../inspect.js';
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
  readonly output: string;
}

function importInputs(inputs: readonly string[], options: GivenNames & ImportFlags): ProfileTable {
  if (!inputs.every((path) => /\.csv(\.gz)?$/.test(path))) {
    if (inputs.length === 1) return loadTable(inputs[0], options);
    throw new UserError('several inputs must all be CSV files', { at: inputs.join(' ') });
  }
  const { hardware, model, dtype } = options;
  if (hardware === undefined || model === undefined) {
    throw new UserError('CSV files need --hardware and --model');
  }
  const shape = options.shape === undefined ? undefined : loadShape(options.shape, model);
  return importCsvFiles(
    inputs.map((at) => ({ at, text: readText(at) })),
    { hardware, model, dtype: dtype ?? 'bf16' },
    { tp: options.tp, shape, clockGHz: options.clockGhz },
  );
}

export function addReadingCommands(program: Command): void {
  withNames(
    program
      .command('import')
      .description('read measurements of any known profiler, write one Arrow profile')
      .argument('<inputs...>', 'bundle directory, or CSV files (.gz too) told apart by header')
      .option('--tp <degree>', 'TP degree of files that do not say', positiveInteger, 1)
      .option('--shape <file>', 'config.json that names GEMMs given by their sizes only')
      .option('--clock-ghz <f>', 'clock of a simulator that reports cycles', positiveNumber)
      .option('-o, --output <file>', 'Arrow file; - is stdout', '-'),
  ).action(async (inputs: string[], options: GivenNames & ImportFlags) => {
    await writeOutput(options.output, encodeProfile(importInputs(inputs, options)));
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
