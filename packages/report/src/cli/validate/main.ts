/**
 * `npm run validate`: measured cases against their limits. Without a manifest all shipped cases run
 * and docs/accuracy.md gets their table and plots.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearest, parseWith, UserError } from '@astrolabe/base';
import {
  formatOption,
  makeCommand,
  readJson,
  runMain,
  Verdict,
  writeStdout,
} from '@astrolabe/base/cli';
import { formatResults, tally } from '../../validate/format-results.js';
import { type Case, manifestSchema } from '../../validate/manifest.js';
import { ablate } from './ablate.js';
import { leaveOneOut } from './leave-one-out.js';
import { type CaseRun, runCase } from './run-case.js';
import { writeDocs, writeSection } from './write-docs.js';

/** Beside the project, where the reference data lie. */
const usualManifest = fileURLToPath(
  new URL('../../../../../../shared/refdata/cases.json', import.meta.url),
);
const projectDocs = fileURLToPath(new URL('../../../../../docs', import.meta.url));

interface Flags {
  case?: string[];
  calibration?: string;
  profiles?: string;
  format: 'text' | 'json';
  docs?: string;
  ablation?: boolean;
  leaveOneOut?: boolean;
}

await runMain('validate', async () => {
  const command = makeCommand('validate', 'Runs measured cases and holds them to their limits', [
    'npm run validate',
    'npm run validate -- ../shared/refdata/cases.json',
    'npm run validate -- ../shared/refdata/cases.json --case v1-rtxpro6000-llama8b',
  ])
    .argument('[manifest]', 'cases in JSON; paths in it are relative to it')
    .option('--case <id...>', 'only these cases')
    .option(
      '--calibration <file>',
      'fitted step constants; none = nothing fitted (default: shipped)',
    )
    .option('--profiles <dir>', "use these profiles instead of the cases' own")
    .option('--docs <dir>', 'writes the table and plots there (default without a manifest: docs)')
    .option('--ablation', 'every case with every term switched, instead')
    .option('--leave-one-out', 'cases without what was fitted on their device, instead')
    .addOption(formatOption(['text', 'json']));
  command.parse();
  const flags = command.opts<Flags>();
  const path = command.args[0] ?? usualManifest;
  if (!existsSync(path)) throw new UserError('no such file', { at: path });
  const cases = chosen(parseWith(manifestSchema, readJson(path), path).cases, flags.case, path);
  const everything = command.args.length === 0 && flags.case === undefined;
  const docs = flags.docs ?? (everything ? projectDocs : undefined);
  const { calibration, profiles } = flags;
  const options = { folder: dirname(path), calibration, profiles };
  if (flags.ablation) {
    const table = await ablate(cases, options);
    if (docs !== undefined) writeSection(docs, 'ablation', table);
    await writeStdout(`${table}\n`);
    return;
  }
  if (flags.leaveOneOut) {
    const table = await leaveOneOut(cases, options);
    if (docs !== undefined) writeSection(docs, 'leave-one-out', table);
    await writeStdout(`${table}\n`);
    return;
  }
  const runs: CaseRun[] = [];
  for (const given of cases) runs.push(await runCase(given, options));
  if (docs !== undefined) writeDocs(docs, runs);
  const results = runs.map(({ result }) => result);
  await writeStdout(
    flags.format === 'json' ? `${JSON.stringify(results, null, 2)}\n` : formatResults(results),
  );
  const failed = results.some((result) => result.status === 'failed');
  const missing = flags.case !== undefined && results.some((r) => r.status === 'unsupported');
  if (failed || missing) throw new Verdict(tally(results));
});

function chosen(cases: readonly Case[], ids: readonly string[] | undefined, path: string): Case[] {
  if (ids === undefined) return [...cases];
  return ids.map((id) => {
    const found = cases.find((given) => given.id === id);
    if (found !== undefined) return found;
    const guess = nearest(
      id,
      cases.map((given) => given.id),
    );
    throw new UserError(`no case "${id}"`, {
      at: path,
      hint: guess === undefined ? 'see the ids in the file' : `did you mean "${guess}"?`,
    });
  });
}
