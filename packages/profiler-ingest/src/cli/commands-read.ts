/** Commands that read measurements and look at them: import, inspect, diff. */
import { encodeProfile } from '@astrolabe/profile/arrow';
import type { Command } from 'commander';
import { differenceLines, differences } from '../diff.js';
import { inspectTable } from '../inspect.js';
import { loadLatencyModel } from './load-model.js';
import { type GivenNames, loadTable } from './load-table.js';
import { printLines, writeOutput } from './output.js';

export function withNames(command: Command): Command {
  return command
    .option('--hardware <name>', 'hardware name; by default from the path')
    .option('--model <name>', 'model name, <org>/<model>; by default from the path')
    .option('--dtype <name>', 'bf16, fp16, fp8, ...; by default from the path');
}

export function addReadingCommands(program: Command): void {
  withNames(
    program
      .command('import')
      .description('read measurements, write one Arrow profile')
      .argument('<input>', 'bundle directory or file')
      .option('-o, --output <file>', 'Arrow file; - is stdout', '-'),
  ).action(async (input: string, options: GivenNames & { output: string }) => {
    await writeOutput(options.output, encodeProfile(loadTable(input, options)));
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
