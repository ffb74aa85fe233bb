/** `workload lint`: findings as lines; exit code 1 when there are errors. */
import {
  formatOption,
  isStdoutClosed,
  positiveInteger,
  StdoutBuffer,
  Verdict,
} from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { type Finding, Linter } from '../linter.js';
import { streamRequests } from './read-workload.js';

interface Flags {
  from?: string;
  maxModelLen?: number;
  strict?: boolean;
  limit: number;
  format: 'text' | 'ndjson';
}

export function addLint(program: Command): void {
  program
    .command('lint')
    .description('find what is wrong or suspicious in a workload')
    .argument('[input]', 'workload in any format; - is stdin', '-')
    .option('--from <format>', 'format of the input, as for convert')
    .option('--max-model-len <tokens>', 'context limit of the model', positiveInteger)
    .option('--strict', 'warnings count as errors')
    .option('--limit <count>', 'findings shown per rule', positiveInteger, 20)
    .addOption(formatOption(['text', 'ndjson']))
    .action(lint);
}

async function lint(input: string, flags: Flags): Promise<void> {
  const linter = new Linter(input, { maxModelLen: flags.maxModelLen });
  const out = new StdoutBuffer();
  const counts = { error: 0, warning: 0 };
  const byRule = new Map<string, number>();
  let hidden = 0;
  const show = async (findings: readonly Finding[]): Promise<void> => {
    for (const finding of findings) {
      counts[finding.level]++;
      const before = byRule.get(finding.rule) ?? 0;
      byRule.set(finding.rule, before + 1);
      if (before >= flags.limit) {
        hidden++;
        continue;
      }
      await out.line(flags.format === 'ndjson' ? JSON.stringify(finding) : asText(finding));
    }
  };
  for await (const { request, at } of streamRequests(input, { format: flags.from })) {
    await show(linter.add(request, at));
    if (isStdoutClosed()) return;
  }
  await show(linter.end());
  await out.flush();
  if (counts.error > 0 || (flags.strict === true && counts.warning > 0)) {
    const rest = hidden > 0 ? `, ${hidden} of them not shown: see --limit` : '';
    throw new Verdict(`${counts.error} errors, ${counts.warning} warnings${rest}`);
  }
}

function asText({ at, level, rule, message }: Finding): string {
  return `${at}: ${level}: ${message} [${rule}]`;
}
