/** `workload`: generate, convert, lint and describe request workloads. */
import { makeCommand, runMain } from '@astrolabe/base/cli';
import { addConvert } from './cli/convert-command.js';
import { addGenerate } from './cli/generate-command.js';
import { addLint } from './cli/lint-command.js';
import { addServeGen } from './cli/servegen-command.js';
import { addStat } from './cli/stat-command.js';

await runMain('workload', async () => {
  const program = makeCommand('workload', 'Request workloads: generate, convert, lint, describe', [
    'workload generate --preset sharegpt --requests 300 --rate 10 --seed 42 > requests.ndjson',
    'workload generate --shape sessions --turns 4 --think 3 | workload stat',
    'workload convert trace.csv.gz --sort -o requests.ndjson',
    'workload servegen client-models --duration 600 --rate-factor 0.1 -o requests.ndjson',
    'workload lint requests.ndjson --max-model-len 32768',
  ]);
  addGenerate(program);
  addConvert(program);
  addLint(program);
  addServeGen(program);
  addStat(program);
  await program.parseAsync();
});
