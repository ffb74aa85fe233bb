/** LLMServingSim's command line for its ASTRA-sim, and the conversation over stdin and stdout. */
import { UserError } from '@astrolabe/base';
import {
  makeCommand,
  openInput,
  readJson,
  readLines,
  readText,
  Verdict,
  writeStdout,
} from '@astrolabe/base/cli';
import { decodeGraph, graphFileName } from '@astrolabe/chakra';
import { readGraphFile } from '@astrolabe/chakra/cli';
import { parseAstraNetwork, parseAstraSystem, parseForkMemory } from '@astrolabe/config';
import { InvalidArgumentError } from 'commander';
import { ask, converse, type Outcome } from '../interactive/conversation.js';
import { ForkMachine } from '../interactive/fork-machine.js';

/** True if the arguments are those of LLMServingSim's binary. */
export function isInteractiveCommand(args: readonly string[]): boolean {
  return args.some((arg) => /^--(start|end)-npu-ids(=|$)/.test(arg));
}

interface Options {
  readonly workloadConfiguration: string;
  readonly systemConfiguration: string;
  readonly networkConfiguration: string;
  readonly memoryConfiguration: string;
  readonly startNpuIds: readonly number[];
  readonly endNpuIds: readonly number[];
}

/** @throws Verdict when the conversation ends before its `exit` */
export async function runInteractive(): Promise<void> {
  const options = readOptions();
  const conversation = converse(
    {
      machine: machineOf(options),
      starts: options.startNpuIds,
      ends: options.endNpuIds,
      read: (prefix, npu) => {
        const path = graphFileName(prefix, npu);
        return decodeGraph(readGraphFile(path), { at: path, dialect: 'llmservingsim' });
      },
    },
    options.workloadConfiguration,
  );
  if (options.startNpuIds.length + options.endNpuIds.length === 0) {
    throw new UserError('no NPU to ask: give --start-npu-ids');
  }
  const { problem } = await talk(conversation);
  if (problem !== undefined) throw new Verdict(problem);
}

function readOptions(): Options {
  const command = makeCommand(
    'system-simulator',
    "Serves LLMServingSim's front end in place of its ASTRA-sim",
    [],
  )
    .allowUnknownOption()
    .allowExcessArguments(true)
    .requiredOption('--workload-configuration <prefix>', 'first trace of NPU i: <prefix>.<i>.et')
    .requiredOption('--system-configuration <file>', 'system JSON')
    .requiredOption('--network-configuration <file>', 'network YAML')
    .requiredOption('--memory-configuration <file>', 'memory JSON with its tiers')
    .option('--start-npu-ids <list>', 'first NPU of each instance', npuList, [])
    .option('--end-npu-ids <list>', 'last NPU of instances with several', npuList, []);
  command.parse();
  return command.opts<Options>();
}

function machineOf(options: Options): ForkMachine {
  const { networkConfiguration: network, systemConfiguration: system } = options;
  return new ForkMachine({
    // Not in its own words: one NPU in a dimension is legal here.
    network: parseAstraNetwork(readText(network), network, 'default'),
    system: parseAstraSystem(readJson(system), system, 'compat'),
    memory: parseForkMemory(readJson(options.memoryConfiguration), options.memoryConfiguration),
  });
}

/** What the conversation says goes to stdout, what it asks is a line of stdin. */
async function talk(conversation: ReturnType<typeof converse>): Promise<Outcome> {
  const lines = readLines(openInput('-'), 'stdin');
  let turn = conversation.next();
  while (turn.done !== true) {
    if (turn.value === ask) {
      const line = await lines.next();
      turn = conversation.next(line.done === true ? undefined : line.value.text);
    } else {
      await writeStdout(turn.value);
      turn = conversation.next();
    }
  }
  await lines.return(undefined);
  process.stdin.destroy();
  return turn.value;
}

/** `0,4,` as the front end writes it. */
function npuList(text: string): number[] {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  return parts.map((part) => {
    const npu = Number(part);
    if (!Number.isSafeInteger(npu) || npu < 0) throw new InvalidArgumentError('expected NPU ids');
    return npu;
  });
}
