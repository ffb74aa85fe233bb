/** `chakra dump`: graphs as text for people or NDJSON for programs. */
import {
  formatOption,
  isStdoutClosed,
  nonNegativeInteger,
  StdoutBuffer,
} from '@astrolabe/base/cli';
import type { Command } from 'commander';
import type { Dialect } from '../dialect.js';
import { metadataRecord, type NodeRecord, nodeRecord } from '../node-record.js';
import { openGraphs, withInputs } from './inputs.js';

interface DumpFlags {
  readonly dialect: Dialect;
  readonly format: 'text' | 'ndjson';
  readonly from: number;
  readonly count?: number;
  readonly metadata?: boolean;
}

export function addDump(program: Command): void {
  withInputs(program.command('dump'))
    .description('print graphs: one line for the metadata, one for each node')
    .addOption(formatOption(['text', 'ndjson']))
    .option('--from <index>', 'first node of each graph, from 0', nonNegativeInteger, 0)
    .option('--count <nodes>', 'at most that many nodes of each graph', nonNegativeInteger)
    .option('--metadata', 'metadata lines only')
    .action(dump);
}

async function dump(inputs: readonly string[], flags: DumpFlags): Promise<void> {
  const out = new StdoutBuffer();
  let graphNumber = 0;
  for await (const { graph, npu, file } of openGraphs(inputs, { dialect: flags.dialect })) {
    const metadata = metadataRecord(graph);
    if (flags.format === 'ndjson') {
      await out.line(JSON.stringify({ kind: 'graph', graph: graphNumber, file, npu, ...metadata }));
    } else {
      const attributes = metadata.attributes.map(({ name, value }) => `${name}=${value}`).join(' ');
      const version = metadata.version === '' ? 'without version' : `version ${metadata.version}`;
      const count = `${metadata.nodeCount} nodes`;
      await out.line(
        `graph ${graphNumber} (NPU ${npu}): ${version}, ${count} ${attributes}`.trim(),
      );
    }
    const end = Math.min(graph.nodeCount, flags.from + (flags.count ?? graph.nodeCount));
    for (let node = flags.from; node < end && flags.metadata !== true; node++) {
      const record = nodeRecord(graph, node);
      await out.line(
        flags.format === 'ndjson'
          ? JSON.stringify({ kind: 'node', graph: graphNumber, npu, ...record })
          : textLine(record),
      );
      if (isStdoutClosed()) return;
    }
    graphNumber++;
    if (isStdoutClosed()) return;
  }
  await out.flush();
}

/** `  3 COMP "gemm" durationNs=12000 dataDeps=[1,2] ...` */
function textLine(record: NodeRecord): string {
  const { id, type, name, extra, ...rest } = record;
  const parts = [`  ${id}`, type, JSON.stringify(name)];
  for (const [key, value] of Object.entries(rest)) {
    const isEmpty = value === undefined || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) parts.push(`${key}=${JSON.stringify(value)}`);
  }
  for (const attribute of extra ?? []) {
    parts.push(`${attribute.name}:${attribute.kind}=${JSON.stringify(attribute.value)}`);
  }
  return parts.join(' ');
}
