/** The command over measured collectives: links fitted to them, and the table a cluster file names. */
import { UserError } from '@astrolabe/base';
import { positiveNumber, readText } from '@astrolabe/base/cli';
import { loadSizeTable } from '@astrolabe/config/cli';
import { CollectiveTable } from '@astrolabe/profile';
import type { Command } from 'commander';
import { importCsvFiles } from '../importers/import-csv.js';
import { curvesOf, linkLines, type MeasuredCurves, sizeTableOf } from '../links.js';
import { printJson } from '../print-json.js';
import { loadTable } from './load-table.js';
import { printLines, writeOutput } from './output.js';

interface Options {
  readonly memBw?: number;
  readonly output?: string;
  readonly thin?: boolean;
  readonly source?: string;
}

export function addLinkCommand(program: Command): void {
  program
    .command('collectives')
    .description('latency and bandwidth that fit measured collectives best, and where none does')
    .argument('<inputs...>', 'Arrow profile, size table .json, or CSV files (Vidur, long CSV)')
    .option('--mem-bw <GB/s>', "the device's mem_bw: reductions pass over it", positiveNumber)
    .option('-o, --output <file>', 'also writes the measurements as a table for measured_links')
    .option('--thin', 'of the table: one size per doubling, medians')
    .option('--source <text>', "of the table: who measured it, on what; default: the input's words")
    .action(async (inputs: string[], options: Options) => {
      const measured = readCurves(inputs);
      await printLines(linkLines(measured.curves, options.memBw ?? 0));
      if (options.output === undefined) return;
      const source = options.source ?? measured.source;
      const table = sizeTableOf({ ...measured, source }, options.thin ?? false);
      await writeOutput(options.output, printJson(table));
    });
}

/** @throws UserError no collectives there */
function readCurves(inputs: readonly string[]): MeasuredCurves {
  const at = inputs.join(' ');
  if (inputs.length === 1 && inputs[0].endsWith('.json')) {
    const table = loadSizeTable(inputs[0]);
    return { curves: curvesOf(table), source: table.source, errorPct: table.error_pct };
  }
  const table = inputs.every((path) => /\.csv(\.gz)?$/.test(path))
    ? importCsvFiles(
        inputs.map((path) => ({ at: path, text: readText(path) })),
        // Links are the same whatever runs over them.
        { hardware: 'any', model: 'any', dtype: 'any' },
        { tp: 1, shape: undefined, clockGHz: undefined },
      )
    : loadOne(inputs);
  const { curves } = new CollectiveTable(table);
  if (curves.length === 0) throw new UserError('no collectives measured here', { at });
  return { curves, source: table.info.source };
}

function loadOne(inputs: readonly string[]) {
  if (inputs.length === 1) return loadTable(inputs[0], {});
  throw new UserError('several inputs must all be CSV files', { at: inputs.join(' ') });
}
