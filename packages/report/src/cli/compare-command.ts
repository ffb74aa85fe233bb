/** `report compare`: a simulated run against a measured one. */
import { formatOption, writeStdout } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { compareRuns } from '../compare.js';
import { formatComparison } from '../format-comparison.js';
import { readLlmServingSimCsv, readSimulated } from './read-simulated.js';
import { otherHelp, readOtherRun } from './real/read-real-run.js';

interface Flags {
  simulated: string;
  real: string;
  format: 'text' | 'json';
}

export function addCompare(program: Command): void {
  program
    .command('compare')
    .description('a simulated run against a measured one, metric by metric')
    .requiredOption('--simulated <dir>', 'folder of serving-loop, or a sim.csv of LLMServingSim')
    .requiredOption('--real <path>', otherHelp)
    .addOption(formatOption(['text', 'json']))
    .action(async (flags: Flags) => {
      const isTable = /\.csv(\.gz)?$/.test(flags.simulated);
      const simulated = isTable
        ? readLlmServingSimCsv(flags.simulated)
        : readSimulated(flags.simulated);
      const comparison = compareRuns(simulated, await readOtherRun(flags.real));
      await writeStdout(
        flags.format === 'json'
          ? `${JSON.stringify(comparison, null, 2)}\n`
          : formatComparison(comparison),
      );
    });
}
