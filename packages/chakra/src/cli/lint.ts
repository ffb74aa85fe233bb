/** `chakra lint`: what would stop, hang or falsify a simulation. Exit 1 on errors. */
import { parseWith, UserError } from '@astrolabe/base';
import {
  formatOption,
  positiveInteger,
  readJson,
  StdoutBuffer,
  Verdict,
} from '@astrolabe/base/cli';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Dialect } from '../dialect.js';
import { type LintTarget, lintTargets } from '../lint/check-node.js';
import { formatFinding, type LintInput, lintRules } from '../lint/finding.js';
import { lint as lintGraphs } from '../lint/lint.js';
import { groupsSchema } from '../stream-metadata.js';
import { openGraphs, withInputs } from './inputs.js';

interface LintFlags {
  readonly dialect: Dialect;
  readonly format: 'text' | 'ndjson';
  readonly groups?: string;
  readonly npus?: number;
  readonly npusPerDim?: number[];
  readonly target: LintTarget;
  readonly errorsOnly?: boolean;
  readonly strict?: boolean;
  readonly limit: number;
  readonly rules?: boolean;
}

export function addLint(program: Command): void {
  withInputs(program.command('lint'))
    .description('check all NPUs of a run against each other; exit 1 on errors')
    .option('--groups <file>', 'communicator groups, JSON as for ASTRA-sim: {"1": [0, 1]}')
    .option('--npus <count>', 'how many NPUs there must be', positiveInteger)
    .option('--npus-per-dim <a,b,...>', 'network dimensions, to judge involved_dim', dimensions)
    .addOption(
      new Option('--target <name>', 'also what this simulator needs')
        .choices([...lintTargets])
        .default('any'),
    )
    .option('--errors-only', 'leave out warnings')
    .option('--strict', 'warnings count as errors')
    .option('--limit <count>', 'findings shown per rule', positiveInteger, 20)
    .addOption(formatOption(['text', 'ndjson']))
    .option('--rules', 'list the rules and end')
    .action(lint);
}

function dimensions(text: string): number[] {
  const sizes = text.split(',').map(Number);
  if (!sizes.every((size) => Number.isSafeInteger(size) && size >= 1)) {
    throw new InvalidArgumentError('expected sizes like 2,4');
  }
  return sizes;
}

async function lint(operands: readonly string[], flags: LintFlags): Promise<void> {
  const out = new StdoutBuffer();
  if (flags.rules === true) {
    for (const [rule, [severity, meaning]] of Object.entries(lintRules)) {
      await out.line(`${severity.padEnd(7)} ${rule.padEnd(24)} ${meaning}`);
    }
    await out.flush();
    return;
  }
  const groups =
    flags.groups === undefined
      ? undefined
      : parseWith(groupsSchema, readJson(flags.groups), flags.groups);
  const inputs: LintInput[] = [];
  for await (const { graph, npu, at } of openGraphs(operands, { dialect: flags.dialect })) {
    inputs.push({ graph, npu, at });
  }
  if (inputs.length === 0) throw new UserError('no graphs in the input');
  const report = lintGraphs(inputs, {
    ...(groups !== undefined && { groups }),
    ...(flags.npus !== undefined && { npuCount: flags.npus }),
    ...(flags.npusPerDim !== undefined && { npusPerDim: flags.npusPerDim }),
    target: flags.target,
    limitPerRule: flags.limit,
  });
  const shown = report.findings.filter(
    ({ severity }) => severity === 'error' || flags.errorsOnly !== true,
  );
  for (const finding of shown) {
    await out.line(flags.format === 'ndjson' ? JSON.stringify(finding) : formatFinding(finding));
  }
  await out.flush();
  if (shown.length === 0) return;
  const errors = shown.filter(({ severity }) => severity === 'error').length;
  const more = report.dropped > 0 ? `, and ${report.dropped} more not shown` : '';
  const sum = `${errors} errors, ${shown.length - errors} warnings${more}`;
  if (errors > 0 || flags.strict === true) throw new Verdict(sum);
  process.stderr.write(`chakra: ${sum}\n`);
}
