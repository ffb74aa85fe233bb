/** `npm run conformance -- DIR`. */
import { makeCommand, nonNegativeInteger, runMain } from '@astrolabe/base/cli';
import { conformance } from './conformance/main.js';

await runMain('conformance', async () => {
  const command = makeCommand(
    'conformance',
    "Compares the simulator with ASTRA-sim's own answers, case by case.",
    ['npm run conformance -- ../shared/refdata/astra_golden'],
  )
    .argument('<dir>', 'directory with cases.jsonl.gz and workloads/')
    .option('--show <n>', 'mismatches to print', nonNegativeInteger, 20)
    .option('--table <name>', 'only the cases of this table')
    .option('-q, --quiet', 'no progress', false);
  command.parse();
  const { show, table, quiet } = command.opts<{ show: number; table?: string; quiet: boolean }>();
  await conformance({
    folder: command.args[0],
    show,
    quiet,
    ...(table === undefined ? {} : { onlyTable: table }),
  });
});
