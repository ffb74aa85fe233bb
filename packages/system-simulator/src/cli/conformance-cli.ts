/** `npm run conformance -- DIR`. */
import { makeCommand, nonNegativeInteger, runMain } from '@astrolabe/base/cli';
import { Option } from 'commander';
import type { FastPaths } from '../astra/run.js';
import { condense } from './conformance/condense.js';
import { conformance } from './conformance/main.js';

await runMain('conformance', async () => {
  const command = makeCommand(
    'conformance',
    "Compares the simulator with ASTRA-sim's own answers, case by case",
    ['npm run conformance -- ../shared/refdata/astra_golden'],
  )
    .argument('<dir>', 'directory with cases.jsonl.gz and workloads/')
    .option('--show <n>', 'mismatches to print', nonNegativeInteger, 20)
    .option('--table <name>', 'only the cases of this table')
    .addOption(
      new Option('--fast <when>', 'fold symmetric runs')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option('--condense <file>', 'write the condensed table of the cases that are equal')
    .option('-q, --quiet', 'no progress');
  command.parse();
  const {
    show,
    table,
    quiet = false,
    fast,
    condense: condensed,
  } = command.opts<{
    show: number;
    table?: string;
    quiet?: boolean;
    fast: FastPaths;
    condense?: string;
  }>();
  if (condensed !== undefined) {
    const cases = await condense(command.args[0], condensed);
    process.stderr.write(`${cases} cases written to ${condensed}\n`);
    return;
  }
  await conformance({
    folder: command.args[0],
    show,
    quiet,
    fast,
    ...(table === undefined ? {} : { onlyTable: table }),
  });
});
