/** `chakra diff`: two traces, graph by graph and node by node. Exit 1 when they differ. */
import { UserError } from '@astrolabe/base';
import { formatOption, isStdoutClosed, StdoutBuffer, Verdict } from '@astrolabe/base/cli';
import { type Command, InvalidArgumentError } from 'commander';
import type { Dialect } from '../dialect.js';
import { diffGraphs, formatDifference } from '../diff.js';
import { dialectOption, openGraphs, type ReadGraph } from './inputs.js';

interface DiffFlags {
  readonly dialect: Dialect;
  readonly dialect2?: Dialect;
  readonly format: 'text' | 'ndjson';
  readonly ignoreMetadata?: boolean;
  readonly ignoreNames?: boolean;
  readonly durationTolerance: number;
}

export function addDiff(program: Command): void {
  program
    .command('diff')
    .description('compare two traces; nodes are matched by id; exit 1 when they differ')
    .argument('<first>', 'file, prefix of <prefix>.<npu>.et, or - for stdin')
    .argument('<second>', 'file or prefix')
    .addOption(dialectOption())
    .addOption(dialectOption('--dialect2 <name>', 'second').default(undefined))
    .option('--ignore-metadata', 'compare nodes only')
    .option('--ignore-names', 'leave node names out')
    .option('--duration-tolerance <share>', 'durations may differ by that share', share, 0)
    .addOption(formatOption(['text', 'ndjson']))
    .action(diff);
}

function share(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('expected a number in [0, 1]');
  return value;
}

async function diff(first: string, second: string, flags: DiffFlags): Promise<void> {
  if (first === '-' && second === '-') {
    throw new UserError('stdin holds one trace, expected a file', { at: 'second -' });
  }
  const out = new StdoutBuffer();
  const left = openGraphs([first], { dialect: flags.dialect });
  const right = openGraphs([second], { dialect: flags.dialect2 ?? flags.dialect });
  const options = {
    ignoreMetadata: flags.ignoreMetadata ?? false,
    ignoreNames: flags.ignoreNames ?? false,
    durationTolerance: flags.durationTolerance,
  };
  let count = 0;
  for (let graph = 0; !isStdoutClosed(); graph++) {
    const [a, b] = [await left.next(), await right.next()];
    if (a.done === true && b.done === true) break;
    if (a.done === true || b.done === true) {
      const [where, rest] = a.done === true ? ['second', right] : ['first', left];
      let more = 1;
      for await (const _ of rest) more++;
      count += more;
      const value = { graph, field: 'graph', left: a.done !== true, right: b.done !== true };
      const text = `graph ${graph}: ${more} graphs only in the ${where}`;
      await out.line(flags.format === 'ndjson' ? JSON.stringify(value) : text);
      break;
    }
    count += await printDifferences(out, graph, a.value, b.value, options, flags.format);
  }
  await out.flush();
  if (count > 0) throw new Verdict(`${count} differences`);
}

async function printDifferences(
  out: StdoutBuffer,
  graph: number,
  left: ReadGraph,
  right: ReadGraph,
  options: Parameters<typeof diffGraphs>[2],
  format: 'text' | 'ndjson',
): Promise<number> {
  const differences = diffGraphs(left.graph, right.graph, options);
  for (const difference of differences) {
    const text = `graph ${graph} (NPU ${left.npu}): ${formatDifference(difference)}`;
    await out.line(format === 'ndjson' ? JSON.stringify({ graph, ...difference }) : text);
  }
  return differences.length;
}
