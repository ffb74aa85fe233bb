/** `report html`: a run as one page. */
import { writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { compareRuns } from '../compare.js';
import { renderPage } from '../html/page.js';
import { readCounters } from './read-records.js';
import { readSimulated } from './read-simulated.js';
import { otherHelp, readOtherRun } from './real/read-real-run.js';
import { resultOf } from './run-folder.js';
import { readSummary } from './summary-command.js';

interface Flags {
  real?: string;
  output: string;
  title?: string;
}

export function addHtml(program: Command): void {
  program
    .command('html')
    .description('a run as one HTML page without script or network')
    .argument('<dir>', 'folder written by serving-loop --output')
    .option('--real <path>', `to draw beside it: ${otherHelp}`)
    .option('--title <text>', 'title of the page')
    .option('-o, --output <file>', 'where to write; - is stdout', '-')
    .action(async (folder: string, flags: Flags) => {
      const path = resultOf(folder, 'summary.json');
      const summary = readSummary(path);
      const run = readSimulated(folder);
      const counters = await readCounters(folder);
      const real = flags.real === undefined ? undefined : await readOtherRun(flags.real);
      const comparison = real === undefined ? undefined : { errors: compareRuns(run, real), real };
      const title = flags.title ?? folder;
      const page = { title, summary, run, counters, comparison };
      const text = renderPage(page);
      if (flags.output === '-') await writeStdout(text);
      else writeFileWhole(flags.output, text);
    });
}
