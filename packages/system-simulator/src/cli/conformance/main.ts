/**
 * `conformance DIR`: every case of a directory in the form of `astra_golden` (cases.jsonl.gz and
 * workloads/) against the simulator in compat mode. Prints counts per table and the first mismatches.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith, UserError } from '@astrolabe/base';
import { openInput, Progress, readNdjson, Verdict, writeStdout } from '@astrolabe/base/cli';
import type { FastPaths } from '../../astra/run.js';
import { type GoldenCase, goldenCaseSchema } from './golden-case.js';
import { answerCase, GraphFolder, judge } from './run-case.js';

interface ConformanceOptions {
  readonly folder: string;
  /** Mismatches to print. */
  readonly show: number;
  readonly onlyTable?: string;
  readonly quiet: boolean;
  /** Whether to fold what may be folded. */
  readonly fast: FastPaths;
}

interface Tally {
  ok: number;
  answered: number;
  refused: number;
  wrong: number;
}

/** @throws Verdict when a case differs */
export async function conformance(options: ConformanceOptions): Promise<void> {
  const path = ['cases.jsonl.gz', 'cases.jsonl']
    .map((name) => join(options.folder, name))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) throw new UserError('has no cases.jsonl.gz', { at: options.folder });
  const folder = new GraphFolder(join(options.folder, 'workloads'));
  const tallies = new Map<string, Tally>();
  const mismatches: string[] = [];
  const progress = new Progress(options.quiet);
  let cases = 0;
  for await (const { value, line } of readNdjson(openInput(path), path)) {
    const golden = parseWith(goldenCaseSchema, value, `${path}:${line}`);
    if (options.onlyTable !== undefined && golden.table !== options.onlyTable) continue;
    progress.update(Math.min(1, ++cases / 6100), `${cases} cases`);
    const difference = runOne(golden, folder, tallyOf(tallies, golden.table), options.fast);
    if (difference !== undefined) mismatches.push(`${golden.id} (${golden.table}): ${difference}`);
  }
  progress.end();
  await writeStdout(summary(tallies, mismatches, options.show));
  if (mismatches.length > 0) throw new Verdict(`${mismatches.length} of ${cases} cases differ`);
}

function tallyOf(tallies: Map<string, Tally>, table: string): Tally {
  let tally = tallies.get(table);
  if (tally === undefined) {
    tally = { ok: 0, answered: 0, refused: 0, wrong: 0 };
    tallies.set(table, tally);
  }
  return tally;
}

function runOne(
  golden: GoldenCase,
  folder: GraphFolder,
  tally: Tally,
  fast: FastPaths,
): string | undefined {
  const answer = answerCase(golden, folder, fast);
  const difference = judge(golden, answer);
  if (difference !== undefined) tally.wrong++;
  else if (golden.expect.outcome.startsWith('ok')) tally.ok++;
  else if (answer.refusal === undefined) tally.answered++;
  else tally.refused++;
  return difference;
}

function summary(
  tallies: ReadonlyMap<string, Tally>,
  mismatches: readonly string[],
  show: number,
): string {
  const head = ['table', 'equal', 'repaired', 'refused', 'different'];
  const rows = [...tallies].map(([table, { ok, answered, refused, wrong }]) => [
    table,
    ...[ok, answered, refused, wrong].map(String),
  ]);
  const total = ['total'];
  for (let c = 1; c < head.length; c++) {
    total.push(String(rows.reduce((sum, row) => sum + Number(row[c]), 0)));
  }
  const table = [head, ...rows, total]
    .map((row) => row.map((cell, c) => (c === 0 ? cell.padEnd(24) : cell.padStart(10))).join(''))
    .join('\n');
  const shown = mismatches.slice(0, show).map((line) => `${line}\n`);
  const more = mismatches.length > show ? [`and ${mismatches.length - show} more\n`] : [];
  return `${table}\n${[...shown, ...more].join('')}`;
}
