/** `report timeline`: a run for Perfetto or chrome://tracing. */
import { gzipSync } from 'node:zlib';
import { nsPerS, UserError } from '@astrolabe/base';
import {
  nonNegativeNumber,
  positiveInteger,
  positiveNumber,
  writeFileWhole,
  writeStdout,
} from '@astrolabe/base/cli';
import type { Command } from 'commander';
import { buildTimeline, timelineJson } from '../timeline/chrome-trace.js';
import { readRecords } from './read-records.js';

interface Flags {
  output: string;
  from: number;
  to?: number;
  maxEvents: number;
}

export function addTimeline(program: Command): void {
  program
    .command('timeline')
    .description('a run as a Chrome trace for Perfetto (ui.perfetto.dev) or chrome://tracing')
    .argument('<dir>', 'folder written by serving-loop --output')
    .option('-o, --output <file>', 'where to write; .gz is packed; - is stdout', '-')
    .option('--from <s>', 'start of the part to draw, s', nonNegativeNumber, 0)
    .option('--to <s>', 'end of the part to draw, s', positiveNumber)
    .option('--max-events <count>', 'thin out to stay below', positiveInteger, 200_000)
    .action(async (folder: string, flags: Flags) => {
      if (flags.to !== undefined && flags.to <= flags.from) {
        throw new UserError(`expected more than --from ${flags.from}, got ${flags.to}`, {
          at: '--to',
        });
      }
      const records = await readRecords(folder);
      const endNs = records.steps.reduce((end, step) => Math.max(end, step.finishNs), 0);
      if (flags.from * nsPerS > endNs) {
        throw new UserError(
          `${flags.from} s is after the last step, which ends at ${endNs / nsPerS} s`,
          {
            at: '--from',
          },
        );
      }
      const timeline = buildTimeline(records, {
        fromNs: flags.from * nsPerS,
        toNs: flags.to === undefined ? Number.POSITIVE_INFINITY : flags.to * nsPerS,
        maxEvents: flags.maxEvents,
      });
      const text = timelineJson(timeline, records.source);
      for (const note of timeline.notes) process.stderr.write(`report: ${note}\n`);
      if (flags.output === '-') await writeStdout(text);
      else writeFileWhole(flags.output, flags.output.endsWith('.gz') ? gzipSync(text) : text);
    });
}
