/** `chakra stat`: what graphs consist of. */
import { formatOption, StdoutBuffer } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import type { Dialect } from '../dialect.js';
import { graphStatistics } from '../statistics.js';
import { readStreamMetadata } from '../stream-metadata.js';
import { openGraphs, withInputs } from './inputs.js';

interface StatFlags {
  readonly dialect: Dialect;
  readonly format: 'text' | 'ndjson';
}

export function addStat(program: Command): void {
  withInputs(program.command('stat'))
    .description('count nodes, edges, times and bytes of each graph')
    .addOption(formatOption(['text', 'ndjson']))
    .action(stat);
}

async function stat(inputs: readonly string[], flags: StatFlags): Promise<void> {
  const out = new StdoutBuffer();
  for await (const { graph, npu, at } of openGraphs(inputs, { dialect: flags.dialect })) {
    const statistics = graphStatistics(graph);
    if (flags.format === 'ndjson') {
      const { instance, iteration } = readStreamMetadata(graph.metadata, at);
      await out.line(JSON.stringify({ at, npu, instance, iteration, ...statistics }));
      continue;
    }
    await out.line(`${at} (NPU ${npu})`);
    const { nodesByType, collectives, ...numbers } = statistics;
    for (const [key, value] of Object.entries(numbers)) {
      if (value !== 0) await out.line(`  ${key.padEnd(16)} ${value.toLocaleString('en-US')}`);
    }
    for (const [type, count] of Object.entries(nodesByType)) {
      await out.line(`  ${type.padEnd(16)} ${count} nodes`);
    }
    for (const [name, { count, sizeBytes }] of Object.entries(collectives)) {
      const size = sizeBytes.toLocaleString('en-US');
      await out.line(`  ${name.padEnd(16)} ${count} collectives, ${size} bytes`);
    }
  }
  await out.flush();
}
