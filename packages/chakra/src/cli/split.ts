/** `chakra split`: a graph stream to the files that ASTRA-sim and others read. */
import { UserError } from '@astrolabe/base';
import { severalFiles, writeFileWhole } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import type { Dialect } from '../dialect.js';
import { encodeGraph } from '../encode.js';
import { graphFileName } from '../graph-files.js';
import { readStreamMetadata } from '../stream-metadata.js';
import { dialectOption, openGraphs, withInputs } from './inputs.js';

interface SplitFlags {
  readonly output: string;
  readonly perIteration?: boolean;
  readonly dialect: Dialect;
  readonly to: Dialect;
}

export function addSplit(program: Command): void {
  withInputs(program.command('split'))
    .description(
      'write a stream as <prefix>.<npu>.et, and <prefix>.groups.json if it has communicator groups',
    )
    .requiredOption('-o, --output <prefix>', 'prefix of the files', severalFiles)
    .option('--per-iteration', '<prefix>/instance-I/iteration-N/lane-L/trace.<npu>.et')
    .addOption(dialectOption('--to <name>', 'files'))
    .action(split);
}

async function split(inputs: readonly string[], flags: SplitFlags): Promise<void> {
  const firstOf = new Map<string, string>();
  const groupsOf = new Map<string, Record<string, readonly number[]>>();
  const pending: { path: string; bytes: Uint8Array }[] = [];
  for await (const { graph, npu, at } of openGraphs(inputs, { dialect: flags.dialect })) {
    const fields = readStreamMetadata(graph.metadata, at);
    if (fields.advanceNs !== undefined) continue;
    const { instance = 0, iteration = 0, lane = 0 } = fields;
    const prefix = flags.perIteration
      ? `${flags.output}/instance-${instance}/iteration-${iteration}/lane-${lane}/trace`
      : flags.output;
    const path = graphFileName(prefix, npu);
    const earlier = firstOf.get(path);
    if (earlier !== undefined) {
      throw new UserError(`a second graph for ${path}; the first is ${earlier}`, {
        at,
        hint: 'a stream of several iterations needs --per-iteration',
      });
    }
    firstOf.set(path, at);
    if (fields.groups !== undefined) {
      groupsOf.set(prefix, { ...groupsOf.get(prefix), ...fields.groups });
    }
    const bytes = encodeGraph(graph, { dialect: flags.to });
    // Without --per-iteration a second graph for an NPU must leave nothing behind.
    if (flags.perIteration) writeFileWhole(path, bytes);
    else pending.push({ path, bytes });
  }
  for (const { path, bytes } of pending) writeFileWhole(path, bytes);
  for (const [prefix, groups] of groupsOf) {
    writeFileWhole(`${prefix}.groups.json`, `${JSON.stringify(groups, null, 2)}\n`);
  }
}
