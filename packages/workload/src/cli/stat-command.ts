/** `workload stat`: a workload in numbers. */
import type { Distribution } from '@astrolabe/base';
import { formatOption, positiveInteger, writeStdout } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { statistics, type WorkloadStatistics } from '../statistics.js';
import { readWorkload } from './read-workload.js';

interface Flags {
  format: 'text' | 'json';
  blockSize: number;
  from?: string;
}

export function addStat(program: Command): void {
  program
    .command('stat')
    .description('describe a workload: rate, lengths, what a prefix cache could save')
    .argument('[input]', 'workload in any format; - is stdin', '-')
    .option('--from <format>', 'format of the input, as for convert')
    .option('--block-size <tokens>', 'prefix-cache block', positiveInteger, 16)
    .addOption(formatOption(['text', 'json']))
    .action(async (input: string, flags: Flags) => {
      const requests = await readWorkload(input, { format: flags.from });
      const result = statistics(requests, flags.blockSize);
      await writeStdout(
        flags.format === 'json' ? `${JSON.stringify(result, null, 2)}\n` : formatText(result),
      );
    });
}

function formatText(s: WorkloadStatistics): string {
  const share = s.promptTokens > 0 ? (100 * s.sharedPromptTokens) / s.promptTokens : 0;
  const rows: [string, string][] = [
    ['requests', `${s.requests}`],
    ['sessions', `${s.sessions} (${s.dependentRequests} requests wait for another)`],
    ['arrivals', `${s.firstArrivalS.toFixed(3)} s to ${s.lastArrivalS.toFixed(3)} s`],
    ['rate', s.ratePerS === undefined ? '-' : `${s.ratePerS.toFixed(3)} requests/s`],
    ['gap variation', s.gapCv === undefined ? '-' : `${s.gapCv.toFixed(3)} (1 is Poisson)`],
    ['prompt tokens', `${s.promptTokens} ${formatDistribution(s.prompt)}`],
    ['output tokens', `${s.outputTokens} ${formatDistribution(s.output)}`],
    ['with content', `${s.requestsWithContent} requests`],
    ['shared prompt', `${s.sharedPromptTokens} tokens (${share.toFixed(1)} % of prompt tokens)`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)}  ${value}\n`).join('');
}

function formatDistribution(d: Distribution | undefined): string {
  if (d === undefined) return '';
  return `(mean ${d.mean.toFixed(1)}, p50 ${d.p50.toFixed(0)}, p99 ${d.p99.toFixed(0)}, max ${d.max})`;
}
