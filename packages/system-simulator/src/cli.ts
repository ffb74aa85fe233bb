/** `system-simulator`: execution graphs on stdin, completions on stdout. */
import { UserError } from '@astrolabe/base';
import { booleanFlag, inputsArgument, makeCommand, runMain } from '@astrolabe/base/cli';
import type { Dialect } from '@astrolabe/chakra';
import { calibrateLinks } from '@astrolabe/config';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import {
  addAstraOptions,
  addCommonOptions,
  astraCommand,
  isAstraCommand,
  refuseAstraOptions,
  runAstraCommand,
} from './cli/astra-run.js';
import { isInteractiveCommand, runInteractive } from './cli/interactive.js';
import { parseSlowdown, Recorders, tellCounters } from './cli/recorders.js';
import { readGroups, runGraphs } from './cli/run-graphs.js';
import { clusterMachine } from './cluster-machine.js';
import { createMachine } from './machine.js';

interface Options {
  readonly clusterConfig?: string;
  readonly enableAttnOffloading?: boolean;
  readonly control?: boolean;
  readonly commGroupConfiguration: string;
  readonly dialect: Dialect;
  readonly counters?: string;
  readonly summary?: boolean;
  readonly calibration?: string;
  readonly backend: 'congestion-unaware' | 'congestion-aware';
  readonly slowdown?: string;
  readonly nodeResults?: string;
  readonly messageTrace?: string;
  readonly fingerprint?: boolean;
}

await runMain('system-simulator', async () => {
  if (isInteractiveCommand(process.argv)) {
    await runInteractive();
    return;
  }
  if (isAstraCommand(process.argv)) {
    const astra = astraCommand();
    astra.parse();
    await runAstraCommand(astra);
    return;
  }
  const command = makeCommand(
    'system-simulator',
    'Runs Chakra execution graphs on a simulated machine and writes a completion per iteration',
    [
      'trace-generator --cluster-config c.json < it.ndjson | system-simulator --cluster-config c.json',
      'cat step.0.et step.1.et | system-simulator --cluster-config c.json',
      'system-simulator --workload-configuration=PREFIX --system-configuration=system.json \\',
      '    --network-configuration=network.yml --remote-memory-configuration=memory.json',
    ],
  )
    .addArgument(inputsArgument('input', 'graph streams or .et files; - is stdin'))
    .optionsGroup('A cluster file:')
    .option('--cluster-config <file>', 'the cluster: NPUs, links, memory')
    .option('--enable-attn-offloading [bool]', 'as for serving-loop: the host has PIM', booleanFlag)
    .option('--control', 'the input is NDJSON lines naming .et files')
    .option('--calibration <file>', "fitted links; shipped = the project's own (default: none)");
  addCommonOptions(addAstraOptions(command));
  command.parse();
  const options = command.opts<Options>();
  if (options.clusterConfig === undefined) {
    throw new UserError('no machine: give --cluster-config', { hint: 'see --help for examples' });
  }
  refuseAstraOptions(command);
  const recorders = new Recorders(options);
  const nominal = loadCluster(options.clusterConfig, {
    flags: { enable_attn_offloading: options.enableAttnOffloading },
  });
  const calibration = loadCalibration(options.calibration ?? 'none');
  const spec = clusterMachine(calibrateLinks(nominal, calibration));
  const machine = createMachine({
    ...spec,
    // The cluster file's topology decides unless the flag is given.
    ...(command.getOptionValueSource('backend') === 'default'
      ? {}
      : {
          network: {
            ...spec.network,
            congestion: options.backend === 'congestion-aware' ? 'aware' : 'unaware',
          },
        }),
    ...(options.slowdown === undefined
      ? {}
      : { slowdown: parseSlowdown(options.slowdown, spec.numNpus) }),
    fastPaths: !recorders.needMessages,
  });
  const { onNode, onMessage } = recorders.listeners();
  machine.onNode = onNode;
  machine.onMessage = onMessage;
  await runGraphs({
    machine,
    inputs: command.args.length === 0 ? ['-'] : command.args,
    control: options.control ?? false,
    dialect: options.dialect,
    groups: readGroups(options.commGroupConfiguration),
    atEnd: () => {
      tellCounters(machine.counters(), options);
      return recorders.write();
    },
  });
});
