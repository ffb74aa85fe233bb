/** ASTRA-sim's command line: its files in, its lines out; results of ours beside them. */
import { UserError } from '@astrolabe/base';
import {
  booleanFlag,
  formatOption,
  makeCommand,
  Verdict,
  writeFileWhole,
  writeStdout,
} from '@astrolabe/base/cli';
import { type Dialect, dialects } from '@astrolabe/chakra';
import type { ReadMode } from '@astrolabe/config';
import { type Command, Option } from 'commander';
import { figuresOf } from '../astra/figures.js';
import type { AstraBackend, AstraInputs } from '../astra/inputs.js';
import type { NpuResult } from '../astra/npu-result.js';
import { allRepairs, type RepairName, type Repairs, repairList } from '../astra/repairs.js';
import { astraReport } from '../astra/report.js';
import { runAstra } from '../astra/run.js';
import { describeLeftOut, describeUnfinished } from '../astra/unfinished.js';
import { nonNegative, readAstraInputs } from './astra-inputs.js';
import { parseSlowdown, Recorders, tellCounters } from './recorders.js';
import { deadlockMessage } from './run-graphs.js';
import { staticFindings } from './static-checks.js';
import { timelessNote } from './timeless.js';

interface Options {
  readonly workloadConfiguration: string;
  readonly systemConfiguration?: string;
  readonly networkConfiguration?: string;
  readonly remoteMemoryConfiguration?: string;
  readonly commGroupConfiguration: string;
  readonly numQueuesPerDim: string;
  readonly injectionScale: string;
  readonly rendezvousProtocol: boolean;
  readonly backend: AstraBackend;
  readonly compat: 'astra-sim' | 'off';
  readonly repair: readonly string[];
  readonly withoutRepair: readonly string[];
  readonly dialect: Dialect;
  readonly format: 'astra' | 'ndjson';
  readonly nodeResults?: string;
  readonly messageTrace?: string;
  readonly counters?: string;
  readonly summary?: boolean;
  readonly fingerprint?: boolean;
  readonly slowdown?: string;
  readonly check: boolean;
}

/** True if the arguments are those of ASTRA-sim's binaries. */
export function isAstraCommand(args: readonly string[]): boolean {
  return args.some((arg) => /^--workload-configuration(=|$)/.test(arg));
}

/** Adds the options of this way of running; `--help` shows them beside the others. */
export function addAstraOptions(command: Command): Command {
  const names = repairList.map(([name]) => name);
  const several = (value: string, before: readonly string[] = []): string[] => [...before, value];
  return command
    .optionsGroup("ASTRA-sim's files and flags, in place of a cluster file:")
    .option('--workload-configuration <prefix>', 'NPU i runs <prefix>.<i>.et')
    .option('--system-configuration <file>', 'system JSON')
    .option('--network-configuration <file>', 'network YAML')
    .option('--remote-memory-configuration <file>', 'memory JSON')
    .option('--comm-group-configuration <file>', 'communicator groups JSON', 'empty')
    .option('--num-queues-per-dim <n>', 'queues in every dimension', '1')
    .option('--injection-scale <factor>', "factor on the system file's endpoint-delay", '1')
    .option('--rendezvous-protocol <on>', 'receivers ask before senders send', booleanFlag, false)
    .addOption(
      new Option('--compat <mode>', "ASTRA-sim's figures exactly, or with its defects repaired")
        .choices(['astra-sim', 'off'])
        .default('astra-sim'),
    )
    .addOption(
      new Option('--repair <name...>', 'with this repair on').choices(names).argParser(several),
    )
    .addOption(
      new Option('--without-repair <name...>', 'with it off').choices(names).argParser(several),
    )
    .option('--no-check', 'with --compat off: start without the static checks')
    .addOption(
      formatOption(['astra', 'ndjson'], "stdout: ASTRA-sim's lines, or an object per NPU"),
    );
}

/** Options of both ways of running. */
export function addCommonOptions(command: Command): Command {
  return command
    .optionsGroup('Both:')
    .addOption(
      new Option('--backend <name>', 'network model')
        .choices(['congestion-unaware', 'congestion-aware'])
        .default('congestion-unaware'),
    )
    .addOption(
      new Option('--dialect <name>', 'how durations and node types are written')
        .choices([...dialects])
        .default('upstream'),
    )
    .option('--slowdown <list>', 'stragglers: 3=1.5,7=2 computes 1.5 and 2 times as long')
    .option('--summary', 'where the time went: NPUs, links, memory; at the end on stderr')
    .option('--counters <file>', 'write the counters of NPUs, links and memory at the end')
    .option('--node-results <file>', 'issue and end of every node: .ndjson or .arrow')
    .option('--message-trace <file>', 'every send, receive and arrival in order, CSV')
    .option('--fingerprint', 'a hash over all nodes and messages, on stderr');
}

/** Options that mean nothing beside a cluster file. */
const astraOnly = [
  'system-configuration',
  'network-configuration',
  'remote-memory-configuration',
  'num-queues-per-dim',
  'injection-scale',
  'rendezvous-protocol',
  'compat',
  'repair',
  'without-repair',
  'format',
  'no-check',
];

/** @throws UserError rather than run as if the option were not there */
export function refuseAstraOptions(command: Command): void {
  for (const option of command.options) {
    const name = option.long?.slice(2) ?? '';
    if (!astraOnly.includes(name)) continue;
    if (command.getOptionValueSource(option.attributeName()) !== 'cli') continue;
    throw new UserError('goes with --workload-configuration, not with --cluster-config', {
      at: `--${name}`,
    });
  }
}

export function astraCommand(): Command {
  const command = makeCommand(
    'system-simulator',
    "Runs Chakra traces with ASTRA-sim's files and command line",
    [],
  )
    .allowUnknownOption()
    .allowExcessArguments(true);
  return addCommonOptions(addAstraOptions(command));
}

/** @throws Verdict when NPUs never finish; UserError where the input is at fault */
export async function runAstraCommand(command: Command): Promise<void> {
  const options = command.opts<Options>();
  // ASTRA-sim has options that concern only itself; a misspelt one of ours should still be seen.
  if (command.args.length > 0) {
    process.stderr.write(`system-simulator: not read: ${command.args.join(' ')}\n`);
  }
  const mode: ReadMode = options.compat === 'off' ? 'default' : 'compat';
  const inputs = inputsOf(options, mode);
  if (mode === 'default' && options.check) {
    const findings = staticFindings(inputs);
    if (findings.length > 0) throw new Verdict(`refused:\n  ${findings.join('\n  ')}`);
  }
  const isReplay = !inputs.system.roofline || inputs.system.replayOnly;
  const note = isReplay ? timelessNote(inputs.graphs, '1 ns each') : undefined;
  if (note !== undefined) process.stderr.write(`system-simulator: ${note}\n`);
  const recorders = new Recorders(options);
  // Shortcuts pass links by.
  const counted = options.counters !== undefined || options.summary === true;
  const fast = counted && inputs.backend === 'congestion-aware' ? 'never' : 'auto';
  const simulation = runAstra(inputs, () => recorders.listeners(), fast);
  await writeStdout(
    options.format === 'astra'
      ? astraReport(simulation, inputs.system)
      : simulation.results().map(resultLine).join(''),
  );
  for (const [npu, memory] of simulation.localMemory) {
    const trace = JSON.stringify(memory.chromeTrace(npu));
    writeFileWhole(`${inputs.system.localMemoryTrace}.${npu}.json`, `${trace}\n`);
  }
  await recorders.write();
  tellCounters(simulation.counters(), options);
  const leftOut = describeLeftOut(simulation);
  if (leftOut !== undefined) process.stderr.write(`system-simulator: ${leftOut}\n`);
  const unfinished = describeUnfinished(simulation);
  if (unfinished.length === 0) return;
  throw new Verdict(deadlockMessage({ nowNs: simulation.core.nowNs, lines: unfinished }));
}

function inputsOf(options: Options, mode: ReadMode): AstraInputs {
  const inputs = readAstraInputs({
    workload: options.workloadConfiguration,
    system: needed('system-configuration', options.systemConfiguration),
    network: needed('network-configuration', options.networkConfiguration),
    remoteMemory: needed('remote-memory-configuration', options.remoteMemoryConfiguration),
    groups: options.commGroupConfiguration,
    backend: options.backend,
    mode,
    dialect: options.dialect,
    queuesPerDim: nonNegative('num-queues-per-dim', options.numQueuesPerDim),
    injectionScale: nonNegative('injection-scale', options.injectionScale),
    rendezvous: options.rendezvousProtocol,
    repairs: chosenRepairs(mode, options),
  });
  const { slowdown } = options;
  if (slowdown === undefined) return inputs;
  return { ...inputs, slowdown: parseSlowdown(slowdown, inputs.graphs.length) };
}

/** ASTRA-sim's figures of one NPU as a line of NDJSON. */
function resultLine(result: NpuResult): string {
  const { finish, exposed, wall, comm, gpu, overlap } = figuresOf(result);
  const figures = { finish, exposed, wall, comm, gpu, overlap };
  const numbers = Object.entries(figures).flatMap(([name, value]) =>
    value === undefined ? [] : [[`${name}Ns`, asNumber(value)]],
  );
  return `${JSON.stringify({ npu: result.npu, ...Object.fromEntries(numbers) })}\n`;
}

/** Figures beyond 2^53 (wrapped ones) stay text. */
function asNumber(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

function needed(name: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new UserError(`--${name} is missing`, { hint: 'see --help' });
}

function chosenRepairs(mode: ReadMode, options: Options): Repairs {
  const repairs: Record<RepairName, boolean> = { ...allRepairs(mode === 'default') };
  for (const name of options.repair ?? []) repairs[name as RepairName] = true;
  for (const name of options.withoutRepair ?? []) repairs[name as RepairName] = false;
  return repairs;
}
