/** `chakra view`: a picture of a slice of a graph. */
import { UserError } from '@astrolabe/base';
import { formatOption, nonNegativeInteger } from '@astrolabe/base/cli';
import type { Command } from 'commander';
import type { Dialect } from '../dialect.js';
import { sliceNodes, viewDot, viewHtml } from '../view.js';
import { dialectOption, openOneGraph } from './inputs.js';
import { writeOutput } from './output.js';

interface ViewFlags {
  readonly output: string;
  readonly dialect: Dialect;
  readonly format: 'dot' | 'html';
  readonly graph?: number;
  readonly from?: number;
  readonly count: number;
  readonly around?: number;
  readonly depth: number;
}

export function addView(program: Command): void {
  program
    .command('view')
    .description(
      'draw a slice of one graph: Graphviz text, or an HTML page that needs nothing else',
    )
    .argument('[input]', 'file, or - for stdin', '-')
    .option('-o, --output <file>', 'file, or - for stdout', '-')
    .addOption(formatOption(['dot', 'html']))
    .option('--graph <index>', 'which graph of the input, from 0', nonNegativeInteger)
    .option('--from <index>', 'first node, from 0', nonNegativeInteger, 0)
    .option('--count <nodes>', 'how many nodes', nonNegativeInteger, 200)
    .option('--around <id>', 'nodes near this id instead', nonNegativeInteger)
    .option('--depth <edges>', 'how near', nonNegativeInteger, 3)
    .addOption(dialectOption())
    .action(view);
}

async function view(input: string, flags: ViewFlags): Promise<void> {
  const { graph, at, npu } = await openOneGraph(input, { dialect: flags.dialect }, flags.graph);
  const from = flags.from ?? 0;
  const nodes = sliceNodes(
    graph,
    flags.around === undefined
      ? { from, to: from + flags.count }
      : { around: { id: flags.around, depth: flags.depth } },
  );
  if (nodes.length === 0) {
    const what =
      flags.around === undefined ? `no nodes from ${from} on` : `no node ${flags.around}`;
    throw new UserError(what, { at });
  }
  const text =
    flags.format === 'dot' ? viewDot(graph, nodes) : viewHtml(graph, nodes, `${at} (NPU ${npu})`);
  await writeOutput(flags.output, text);
}
