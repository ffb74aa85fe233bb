/** profiler-ingest: measurements of any profiler to profiles, and what can be derived from them. */
import { makeCommand, runMain } from '@astrolabe/base/cli';
import { addCheckingCommands } from './cli/commands-check.js';
import { addClusterCommand } from './cli/commands-cluster.js';
import { addDerivingCommands } from './cli/commands-derive.js';
import { addDeviceCommands } from './cli/commands-device.js';
import { addLinkCommand } from './cli/commands-links.js';
import { addReadingCommands } from './cli/commands-read.js';

const examples = [
  'profiler-ingest import bundles/RTX4090/meta-llama/Llama-3.1-8B/bf16 -o llama.arrow',
  'profiler-ingest inspect llama.arrow',
  'profiler-ingest fit llama.arrow -o profiles/RTX4090/meta-llama/Llama-3.1-8B/bf16.json',
  'profiler-ingest accuracy llama.arrow',
  'profiler-ingest check llama.arrow --model meta-llama/Llama-3.1-8B --tp 2',
  'profiler-ingest merge tp1.arrow tp2.arrow -o llama.arrow',
  'profiler-ingest transfer llama.arrow --from-model config.json --to-device H200 -o h200.arrow',
  'profiler-ingest roofline --device H200 --model config.json --tp 1,2 -o h200.arrow',
  'profiler-ingest cluster H200:tp=4 --model meta-llama/Llama-3.1-70B -o h200.json',
  'profiler-ingest power nvidia-smi.csv',
  'profiler-ingest dram cluster_config/pim/HBM2_1GB_2000_pim.ini',
  'profiler-ingest diff measured.arrow h200.arrow',
  'profiler-ingest collectives all_reduce.csv send_recv.csv --mem-bw 2039 -o links.json --thin',
];

await runMain('profiler-ingest', async () => {
  const program = makeCommand(
    'profiler-ingest',
    'Turns measurements into profiles that the trace generator can look operators up in',
    examples,
  );
  addReadingCommands(program);
  addDeviceCommands(program);
  addDerivingCommands(program);
  addCheckingCommands(program);
  addLinkCommand(program);
  addClusterCommand(program);
  await program.parseAsync();
});
