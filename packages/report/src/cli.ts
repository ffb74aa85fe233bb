/** `report`: what a run says, and how it compares. */
import { makeCommand, runMain } from '@astrolabe/base/cli';
import { addCalibrate } from './cli/calibrate-command.js';
import { addCapacity } from './cli/capacity-command.js';
import { addCompare } from './cli/compare-command.js';
import { addHtml } from './cli/html-command.js';
import { addSummary } from './cli/summary-command.js';
import { addTimeline } from './cli/timeline-command.js';

await runMain('report', async () => {
  const program = makeCommand('report', 'Reports on simulated runs', [
    'report summary out/run',
    'report compare --simulated out/run --real bench/vllm --format json',
    'report calibrate --cluster-config cluster.json --workload bench.json --real bench.json \\',
    '    --name "our server" -o calibration.json',
    'report capacity cluster_config/rtx4090.json cluster_config/rtxpro6000.json \\',
    '    --workload cluster_config/workloads/sharegpt-like-300.ndjson --slo ttft=2s,tpot=50ms',
    'report html out/run -o run.html',
    'report timeline out/run -o run.trace.json.gz',
  ]);
  addSummary(program);
  addCompare(program);
  addCalibrate(program);
  addCapacity(program);
  addTimeline(program);
  addHtml(program);
  await program.parseAsync();
});
