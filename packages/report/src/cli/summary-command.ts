/** `report summary`: a simulated run in figures, from its own files. */
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { readJson, writeStdout } from '@astrolabe/base/cli';
import { formatSummary, type Summary } from '@astrolabe/serving-loop';
import { type Command, Option } from 'commander';

export function addSummary(program: Command): void {
  program
    .command('summary')
    .description('the summary of a simulated run')
    .argument('<dir>', 'folder written by serving-loop --output')
    .addOption(new Option('--format <format>').choices(['text', 'json']).default('text'))
    .action(async (folder: string, flags: { format: 'text' | 'json' }) => {
      const path = join(folder, 'summary.json');
      const summary = checkSummary(readJson(path), path);
      await writeStdout(
        flags.format === 'json'
          ? `${JSON.stringify(summary, null, 2)}\n`
          : rendered(path, () => formatSummary({ ...summary, fitted: summary.fitted ?? [] })),
      );
    });
}

/**
 * Text made of a summary that another version wrote, or a hand changed: what it lacks is no bug here.
 * @throws UserError naming the file
 */
export function rendered(path: string, render: () => string): string {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UserError('lacks, or has in another form, what this version writes', {
      at: path,
      hint: 'run serving-loop again',
    });
  }
}

/** @throws UserError when this is no summary of a run */
export function checkSummary(value: unknown, path: string): Summary {
  const summary = value as Summary | null;
  if (summary?.requests?.total === undefined || !Array.isArray(summary.instances)) {
    throw new UserError('not a summary of serving-loop', { at: path });
  }
  return summary;
}
