/** `workload convert`: any format in, ours (or LLMServingSim's, or the compact CSV) out. */
import { UserError } from '@astrolabe/base';
import { nonNegativeInteger, positiveInteger, positiveNumber } from '@astrolabe/base/cli';
import { type Command, Option } from 'commander';
import { Anonymiser } from '../anonymiser.js';
import { type ColumnNames, columnsAbout, parseColumns } from '../formats/columns.js';
import type { WorkloadFormat } from '../formats/format.js';
import { workloadFormats } from '../formats/workload-formats.js';
import { type WorkloadWriterName, workloadWriters } from '../formats/write.js';
import { arrivals } from '../generate/arrivals.js';
import { PrefixAttacher } from '../prefix-attacher.js';
import type { Request } from '../request.js';
import { RequestChecker } from '../request-checker.js';
import { RequestDropper } from '../request-dropper.js';
import { withLineOutput } from './line-output.js';
import { shownName } from './read-rows.js';
import { type PlacedDraft, streamDrafts } from './read-workload.js';

const formatNames = workloadFormats.map(({ name }) => name).join(', ');

interface Flags {
  from?: string;
  columns?: ColumnNames;
  to: WorkloadWriterName;
  sort?: boolean;
  startAtZero?: boolean;
  scaleRate: number;
  limit?: number;
  maxModelLen?: number;
  anonymise?: boolean;
  anonymiseBlock: number;
  tokenIds?: boolean;
  traceBlockSize?: number;
  gapNs?: number;
  rate?: number;
  seed: number;
  output: string;
  quiet?: boolean;
}

export function addConvert(program: Command): void {
  program
    .command('convert')
    .description('translate a workload; our NDJSON streams, other outputs and --sort hold it whole')
    .argument('[input]', 'workload in any format, .gz too; - is stdin', '-')
    .addOption(
      new Option(
        '--from <format>',
        `format of the input, instead of finding it: ${formatNames}`,
      ).conflicts('columns'),
    )
    .option(
      '--columns <names>',
      `which columns of a table of your own are what, as in arrival_s=ts,prompt=in,output=out: ${columnsAbout}`,
      parseColumns,
    )
    .addOption(
      new Option('--to <format>', 'format of the output')
        .choices(Object.keys(workloadWriters))
        .default('astrolabe'),
    )
    .option('--sort', 'order by arrival')
    .option('--start-at-zero', 'shift arrivals so that the first is 0')
    .option('--scale-rate <factor>', 'more requests per second by this factor', positiveNumber, 1)
    .option('--limit <count>', 'first requests only', positiveInteger)
    .option(
      '--max-model-len <tokens>',
      'drop requests whose prompt and output exceed this',
      positiveInteger,
    )
    .option('--anonymise', 'token ids to a prefix tree, names to counters')
    .option('--anonymise-block <tokens>', 'granularity of kept sharing', positiveInteger, 16)
    .option('--token-ids', 'write token ids made from the prefix tree')
    .option('--trace-block-size <tokens>', 'tokens per hash id of the input', positiveInteger)
    .option('--gap-ns <ns>', 'between requests of inputs without arrival times', nonNegativeInteger)
    .option('--rate <per-s>', 'Poisson arrivals for inputs without arrival times', positiveNumber)
    .option('--seed <n>', 'seed of --rate', nonNegativeInteger, 42)
    .option('-o, --output <file>', 'where to write; - is stdout', '-')
    .option('-q, --quiet', 'no notes on stderr')
    .action(convert);
}

async function convert(input: string, flags: Flags): Promise<void> {
  const dropper = new RequestDropper();
  const requests = transformed(input, flags, dropper);
  await withLineOutput(flags.output, async (line) => {
    if (flags.to === 'astrolabe' && flags.tokenIds !== true) {
      for await (const request of requests) {
        if (!(await line(JSON.stringify(request)))) return;
      }
      return;
    }
    const all: Request[] = [];
    for await (const request of requests) all.push(request);
    for (const text of workloadWriters[flags.to](all, { tokenIds: flags.tokenIds === true })) {
      if (!(await line(text))) return;
    }
  });
  if (dropper.count > 0) note(flags, `left out ${dropper.count} requests beyond --max-model-len`);
}

function note(flags: Flags, text: string): void {
  if (flags.quiet !== true) process.stderr.write(`workload: ${text}\n`);
}

async function* transformed(
  input: string,
  flags: Flags,
  dropper: RequestDropper,
): AsyncGenerator<Request> {
  const checker = new RequestChecker();
  const attacher = new PrefixAttacher();
  const anonymiser = flags.anonymise === true ? new Anonymiser(flags.anonymiseBlock) : undefined;
  const limit = flags.maxModelLen ?? Number.POSITIVE_INFINITY;
  let firstNs: number | undefined;
  let count = 0;
  for await (const { draft, at } of ordered(input, flags)) {
    if (count === flags.limit) return;
    if (draft.request.promptTokens + draft.request.outputTokens > limit) {
      dropper.drop(draft.request);
      continue;
    }
    firstNs ??= flags.startAtZero === true ? draft.request.arrivalNs : 0;
    draft.request.arrivalNs = Math.round((draft.request.arrivalNs - firstNs) / flags.scaleRate);
    const request = dropper.mend(attacher.attach(draft));
    checker.check(request, at);
    count++;
    yield anonymiser?.apply(request) ?? request;
  }
  if (count > 0) return;
  if (dropper.count === 0) throw new UserError('no requests', { at: shownName(input) });
  throw new UserError(
    `nothing left: all ${dropper.count} requests have more than ${limit} tokens, prompt and output together`,
    { at: '--max-model-len' },
  );
}

async function* ordered(input: string, flags: Flags): AsyncGenerator<PlacedDraft> {
  const stream = streamDrafts(input, {
    format: flags.from,
    columns: flags.columns,
    blockTokens: flags.traceBlockSize,
    startAtZero: flags.startAtZero,
    nextArrivalNs: arrivalTimes(flags),
    onFormat: (format, ignored) => note(flags, describe(format, ignored)),
    onNote: (text) => note(flags, text),
  });
  if (flags.sort !== true) {
    yield* stream;
    return;
  }
  const all: PlacedDraft[] = [];
  for await (const placed of stream) all.push(placed);
  yield* all.sort((a, b) => a.draft.request.arrivalNs - b.draft.request.arrivalNs);
}

/** Arrivals for formats that have none, as the flags say. */
function arrivalTimes(flags: Flags): (() => number) | undefined {
  if (flags.gapNs !== undefined) {
    const gapNs = flags.gapNs;
    let count = 0;
    return () => gapNs * count++;
  }
  if (flags.rate === undefined) return undefined;
  const times = arrivals({
    process: 'poisson',
    ratePerS: flags.rate,
    gapCv: 1,
    pulseRequests: 1,
    pulseGapS: 0,
    seed: flags.seed,
  });
  return () => times.next().value as number;
}

function describe(format: WorkloadFormat, ignored: readonly string[]): string {
  const rest = ignored.length === 0 ? '' : `; not read: ${ignored.join(', ')}`;
  return `reading ${format.name} (${format.about})${rest}`;
}
