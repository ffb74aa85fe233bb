/** `npm run validate -- CASES.json [--case ID]`: measured cases against their limits. */
import { dirname } from 'node:path';
import { nearest, parseWith, UserError } from '@astrolabe/base';
import { makeCommand, readJson, runMain, Verdict, writeStdout } from '@astrolabe/base/cli';
import { Option } from 'commander';
import { formatResults, tally } from '../../validate/format-results.js';
import { type Case, manifestSchema } from '../../validate/manifest.js';
import type { CaseResult } from '../../validate/verdict.js';
import { runCase } from './run-case.js';

interface Flags {
  case?: string[];
  calibration?: string;
  profiles?: string;
  format: 'text' | 'json';
}

await runMain('validate', async () => {
  const command = makeCommand('validate', 'Runs measured cases and holds them to their limits', [
    'npm run validate -- ../shared/refdata/cases.json',
    'npm run validate -- ../shared/refdata/cases.json --case v1-rtxpro6000-llama8b',
  ])
    .argument('<manifest>', 'cases in JSON; paths in it are relative to it')
    .option('--case <id...>', 'only these cases')
    .option('--calibration <file>', 'fitted step constants; none = physics only')
    .option('--profiles <dir>', 'use these profiles instead of the cases\u2019 own')
    .addOption(new Option('--format <format>').choices(['text', 'json']).default('text'));
  command.parse();
  const path = command.args[0];
  const flags = command.opts<Flags>();
  const cases = chosen(parseWith(manifestSchema, readJson(path), path).cases, flags.case, path);
  const results: CaseResult[] = [];
  for (const given of cases) {
    const { calibration, profiles } = flags;
    results.push(await runCase(given, { folder: dirname(path), calibration, profiles }));
  }
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
