/** `chakra`: split, print, check, count, convert, compare and draw execution traces. */
import { makeCommand, runMain } from '@astrolabe/base/cli';
import { addConvert } from './cli/convert.js';
import { addDiff } from './cli/diff.js';
import { addDump } from './cli/dump.js';
import { addLint } from './cli/lint.js';
import { addSplit } from './cli/split.js';
import { addStat } from './cli/stat.js';
import { addView } from './cli/view.js';

await runMain('chakra', async () => {
  const program = makeCommand('chakra', 'Chakra execution traces: .et files and graph streams', [
    'trace-generator --cluster-config c.json it.ndjson | chakra split -o run/step',
    'chakra dump --format ndjson run/step.0.et | jq .type',
    'chakra lint run/step --groups run/step.groups.json',
    'chakra stat run/step.0.et',
    'chakra convert --from llmservingsim old.0.et -o new.0.et',
    'chakra diff run/step other/step --ignore-metadata',
    'chakra view run/step.0.et --around 17 --format html -o slice.html',
  ]);
  addSplit(program);
  addDump(program);
  addLint(program);
  addStat(program);
  addConvert(program);
  addDiff(program);
  addView(program);
  await program.parseAsync();
});
