/**
 * `chakra convert`: dialects, schema versions, gzip to plain, the records of `dump` to a trace. Unknown
 * attributes survive.
 */
import { UserError } from '@astrolabe/base';
import { openInput, readNdjson, writeFileWhole } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import { type Dialect, dialects } from '../dialect.js';
import { encodeGraph, encodeGraphs } from '../encode.js';
import { RecordReader } from '../from-records.js';
import type { ExecutionGraph } from '../graph.js';
import { graphFileName } from '../graph-files.js';
import { type SchemaVersion, schemaVersions, withSchemaVersion } from '../schema-version.js';
import { dialectOption, expandOperand, openGraphs } from './inputs.js';
import { writeOutput } from './output.js';

interface ConvertFlags {
  readonly output: string;
  readonly from: Dialect | 'ndjson';
  readonly to: Dialect;
  readonly schemaVersion?: SchemaVersion;
}

export function addConvert(program: Command): void {
  program
    .command('convert')
    .description(
      'rewrite a trace in another dialect or schema version, or make one of the records of dump',
    )
    .argument('[input]', 'file, prefix of <prefix>.<npu>.et, or - for stdin', '-')
    .option('-o, --output <file>', 'file, prefix if the input is one, or - for stdout', '-')
    .addOption(
      new Option('--from <name>', 'wire dialect of the input, or ndjson: records as of dump')
        .choices([...dialects, 'ndjson'])
        .default('upstream'),
    )
    .addOption(dialectOption('--to <name>', 'output'))
    .addOption(
      new Option(
        '--schema-version <version>',
        'version the metadata names; default: as it is',
      ).choices([...schemaVersions]),
    )
    .action(convert);
}

async function convert(input: string, flags: ConvertFlags): Promise<void> {
  if (flags.from === 'ndjson') {
    await convertRecords(input, flags);
    return;
  }
  const files = expandOperand(input);
  const isPrefix = files.length > 1 || files[0] !== input;
  if (isPrefix && flags.output === '-') {
    throw new UserError('a prefix stands for several files; give -o PREFIX for the output', {
      at: input,
    });
  }
  const outputs: { path: string; parts: Uint8Array[] }[] = [];
  for await (const { graph, npu, index } of openGraphs([input], { dialect: flags.from })) {
    if (index === 0) {
      const path = isPrefix ? graphFileName(flags.output, npu) : flags.output;
      outputs.push({ path, parts: [] });
    }
    outputs[outputs.length - 1].parts.push(
      encodeGraph(versioned(graph, flags.schemaVersion), { dialect: flags.to }),
    );
  }
  for (const { path, parts } of outputs) {
    const bytes = Buffer.concat(parts);
    if (isPrefix) writeFileWhole(path, bytes);
    else await writeOutput(path, bytes);
  }
}

/** All graphs one after another, whatever NPU they are of: `split` makes files of them. */
async function convertRecords(input: string, flags: ConvertFlags): Promise<void> {
  const at = input === '-' ? 'stdin' : input;
  const reader = new RecordReader();
  for await (const { value, line } of readNdjson(openInput(input), at)) {
    reader.push(value, `${at}:${line}`);
  }
  const graphs = reader.end().map((graph) => versioned(graph, flags.schemaVersion));
  if (graphs.length === 0) throw new UserError('no records in the input', { at });
  await writeOutput(flags.output, encodeGraphs(graphs, { dialect: flags.to }));
}

function versioned(graph: ExecutionGraph, version: SchemaVersion | undefined): ExecutionGraph {
  return version === undefined ? graph : withSchemaVersion(graph, version);
}
