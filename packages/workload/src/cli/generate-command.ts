/** `workload generate`: a synthetic workload as NDJSON. */
import { UserError } from '@astrolabe/base';
import { fraction, nonNegativeInteger, positiveInteger, positiveNumber } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import { type ArrivalProcess, arrivalProcesses } from '../generate/arrivals.js';
import { type GenerateOptions, generate, type Shape, shapes } from '../generate/generate.js';
import { type Length, parseLength } from '../generate/lengths.js';
import { presets } from '../generate/presets.js';
import { withLineOutput } from './line-output.js';

interface Flags {
  requests: number;
  arrivals: ArrivalProcess;
  rate?: number;
  cv: number;
  pulseSize: number;
  pulseGap: number;
  preset: string;
  promptTokens?: string;
  outputTokens?: string;
  turnTokens?: string;
  shape: Shape;
  turns?: number;
  think: number;
  branches: number;
  branchShare: number;
  systemPrompt: number;
  systemPrompts: number;
  maxTokens: number;
  seed: number;
  output: string;
}

export function addGenerate(program: Command): void {
  const names = Object.keys(presets);
  program
    .command('generate')
    .description(
      'make a synthetic workload; lengths: N, LOW-HIGH, lognormal:MEDIAN,SIGMA[,LOW,HIGH]',
    )
    .option('-n, --requests <count>', 'number of requests', positiveInteger, 300)
    .addOption(
      new Option('--arrivals <process>', 'arrival process')
        .choices(Object.keys(arrivalProcesses))
        .default('poisson'),
    )
    .option(
      '--rate <per-s>',
      'arrivals per second (10; inside pulses: all at once)',
      positiveNumber,
    )
    .option('--cv <ratio>', 'coefficient of variation of gamma gaps', positiveNumber, 2)
    .option('--pulse-size <count>', 'requests per pulse', positiveInteger, 50)
    .option('--pulse-gap <s>', 'silence between pulses, s', positiveNumber, 15)
    .addOption(
      new Option('--preset <name>', 'lengths of a known workload').choices(names).default(names[0]),
    )
    .option('--prompt-tokens <length>', 'of a first prompt, instead of the preset')
    .option('--output-tokens <length>', 'of an answer, instead of the preset')
    .option('--turn-tokens <length>', 'added by a later turn, instead of the preset')
    .addOption(
      new Option('--shape <shape>', 'how calls hang together')
        .choices(shapes)
        .default('multi-turn'),
    )
    .option('--turns <mean>', 'mean turns per conversation, instead of the preset', positiveNumber)
    .option('--think <s>', 'mean think or tool time between session turns, s', positiveNumber, 5)
    .option('--branches <count>', 'parallel calls of an agentic fan-out', positiveInteger, 3)
    .option('--branch-share <share>', 'share of agentic steps that fan out', fraction, 0.3)
    .option('--system-prompt <tokens>', 'shared first tokens', nonNegativeInteger, 0)
    .option('--system-prompts <count>', 'number of different system prompts', positiveInteger, 1)
    .option('--max-tokens <count>', 'limit of prompt plus output', positiveInteger, 32768)
    .option('--seed <n>', 'seed of everything random', nonNegativeInteger, 42)
    .option('-o, --output <file>', 'where to write; - is stdout', '-')
    .action(run);
}

async function run(flags: Flags, command: Command): Promise<void> {
  const options = toOptions(flags);
  const asked = command.getOptionValueSource('shape') === 'cli' && flags.shape !== 'single';
  if (asked && options.meanTurns === 1) {
    process.stderr.write(
      `workload: note: --shape ${flags.shape}, but conversations of ${flags.preset} have one turn: ` +
        'see --turns\n',
    );
  }
  await withLineOutput(flags.output, async (line) => {
    for (const request of generate(options)) {
      if (!(await line(JSON.stringify(request)))) return;
    }
  });
}

function lengthOf(flag: string | undefined, preset: Length): Length {
  return flag === undefined ? preset : parseLength(flag);
}

function toOptions(flags: Flags): GenerateOptions {
  const preset = presets[flags.preset];
  const pulses = flags.arrivals === 'pulses';
  const meanTurns = flags.turns ?? preset.meanTurns;
  if (meanTurns < 1) throw new UserError('--turns: expected 1 or more');
  if (flags.maxTokens < 2) throw new UserError('--max-tokens: expected 2 or more');
  return {
    count: flags.requests,
    shape: flags.shape,
    arrivals: {
      process: flags.arrivals,
      ratePerS: flags.rate ?? (pulses ? 0 : 10),
      gapCv: flags.cv,
      pulseRequests: flags.pulseSize,
      pulseGapS: flags.pulseGap,
      seed: flags.seed,
    },
    prompt: lengthOf(flags.promptTokens, preset.prompt),
    output: lengthOf(flags.outputTokens, preset.output),
    turn: lengthOf(flags.turnTokens, preset.turn),
    meanTurns,
    meanThinkS: flags.think,
    branches: flags.branches,
    branchShare: flags.branchShare,
    systemPromptTokens: flags.systemPrompt,
    systemPromptGroups: flags.systemPrompts,
    maxTokens: flags.maxTokens,
    seed: flags.seed,
  };
}
