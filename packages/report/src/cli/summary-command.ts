/** `report summary`: a simulated run in figures, from its own files. */
import { parseWith } from '@astrolabe/base';
import { formatOption, readJson, writeStdout } from '@astrolabe/base/cli';
import { formatSummary, type Summary, summarySchema } from '@astrolabe/serving-loop';
import type { Command } from 'commander';
import { resultOf } from './run-folder.js';

export function addSummary(program: Command): void {
  program
    .command('summary')
    .description('the summary of a simulated run')
    .argument('<dir>', 'folder written by serving-loop --output')
    .addOption(formatOption(['text', 'json']))
    .action(async (folder: string, flags: { format: 'text' | 'json' }) => {
      const path = resultOf(folder, 'summary.json');
      const summary = readSummary(path);
      await writeStdout(
        flags.format === 'json' ? `${JSON.stringify(summary, null, 2)}\n` : formatSummary(summary),
      );
    });
}

/** @throws UserError naming file and JSON path: no summary, another version's, or one that a hand changed */
export function readSummary(path: string): Summary {
  return parseWith(summarySchema, readJson(path), path);
}
