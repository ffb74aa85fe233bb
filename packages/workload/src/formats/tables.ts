/**
 * CSV traces of one request a row: Vidur, Azure, BurstGPT, splitwise-sim, BLIS. Times become integer
 * ns from the first row (Azure, BLIS) or from the trace's own zero.
 */
import { nsPerS, UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  type Draft,
  Dropped,
  hasField,
  integerField,
  numberField,
  type ReadOptions,
  type Row,
  type RowReader,
  secondsToNs,
  textField,
  type WorkloadFormat,
} from './format.js';

/** Columns of tokens, and how a row's arrival is found. */
interface TableSpec {
  readonly prompt: string;
  readonly output: string;
  arrivalNs(row: Row, at: string): number;
  /** Fields beside; an id of the row's own wins over its number. */
  rest?(row: Row, at: string): Partial<Request>;
}

const emptyOutput = 'no output tokens (failed requests)';
const emptyPrompt = 'no prompt tokens';

/** A reader that numbers rows and leaves out those without tokens. */
export function tableReader(spec: TableSpec): RowReader {
  const dropped = new Dropped();
  let nextId = 0;
  const read = (row: Row, at: string): readonly Draft[] => {
    const promptTokens = integerField(row, spec.prompt, at);
    const outputTokens = integerField(row, spec.output, at);
    if (outputTokens === 0) return dropped.add(emptyOutput);
    if (promptTokens === 0) return dropped.add(emptyPrompt);
    const arrivalNs = spec.arrivalNs(row, at);
    const rest = spec.rest?.(row, at);
    return [{ request: { id: nextId++, arrivalNs, promptTokens, outputTokens, ...rest } }];
  };
  return { read, notes: () => dropped.notes() };
}

const seconds =
  (column: string) =>
  (row: Row, at: string): number =>
    secondsToNs(numberField(row, column, at));

export const vidurFormat: WorkloadFormat = {
  name: 'vidur',
  about: 'Vidur replay CSV, seconds',
  syntax: 'csv',
  keys: [['arrived_at', 'num_prefill_tokens', 'num_decode_tokens']],
  optional: ['num_total_tokens', 'pd_ratio'],
  open: () =>
    tableReader({
      prompt: 'num_prefill_tokens',
      output: 'num_decode_tokens',
      arrivalNs: seconds('arrived_at'),
    }),
};

export const vidurLengthsFormat: WorkloadFormat = {
  name: 'vidur-lengths',
  about: 'Vidur length CSV, no arrival times',
  syntax: 'csv',
  keys: [['num_prefill_tokens', 'num_decode_tokens']],
  optional: ['num_total_tokens', 'pd_ratio'],
  open: (options: ReadOptions) =>
    tableReader({
      prompt: 'num_prefill_tokens',
      output: 'num_decode_tokens',
      arrivalNs: (_row, at) => arrivalSource(options, at),
    }),
};

export const azureFormat: WorkloadFormat = {
  name: 'azure',
  about: 'Azure LLM inference traces 2023, 2024, 2025; 100 ns time stamps, from the first row',
  syntax: 'csv',
  keys: [['TIMESTAMP', 'ContextTokens', 'GeneratedTokens']],
  optional: [],
  open: () =>
    tableReader({
      prompt: 'ContextTokens',
      output: 'GeneratedTokens',
      arrivalNs: timestampReader('TIMESTAMP'),
    }),
};

/** ns since the first row; JS Date would drop everything below ms. */
export function timestampReader(column: string): (row: Row, at: string) => number {
  let firstDay: number | undefined;
  let firstNs = 0;
  return (row, at) => {
    const text = textField(row, column) ?? '';
    const { day, ns } = parseTimestamp(text, at);
    if (firstDay === undefined) {
      firstDay = day;
      firstNs = ns;
    }
    return (day - firstDay) * 86_400e9 + (ns - firstNs);
  };
}

/** `2023-11-16 18:17:03.9799600`, also with `T`, `Z` or `+00:00`. */
function parseTimestamp(text: string, at: string): { readonly day: number; readonly ns: number } {
  const pattern = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)?$/;
  const match = pattern.exec(text.trim());
  const [year, month, date, hour, minute, second] = (match ?? []).slice(1, 7).map(Number);
  const midnight = new Date(Date.UTC(year, month - 1, date));
  // JS takes the 99th of a month for a day of a later one.
  const isDay = midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === date;
  if (match === null || !isDay || hour > 23 || minute > 59 || second > 60) {
    throw new UserError(`not a UTC time stamp: ${JSON.stringify(text)}`, { at });
  }
  const day = midnight.getTime() / 86_400_000;
  const fraction = Number((match[7] ?? '').padEnd(9, '0'));
  return { day, ns: (hour * 3600 + minute * 60 + second) * nsPerS + fraction };
}

export const burstGptFormat: WorkloadFormat = {
  name: 'burstgpt',
  about: 'BurstGPT CSV, seconds from day 0; failed requests are left out',
  syntax: 'csv',
  keys: [['Timestamp', 'Request tokens', 'Response tokens']],
  optional: [],
  open: () =>
    tableReader({
      prompt: 'Request tokens',
      output: 'Response tokens',
      arrivalNs: seconds('Timestamp'),
    }),
};

export const splitwiseFormat: WorkloadFormat = {
  name: 'splitwise',
  about: 'splitwise-sim CSV, seconds',
  syntax: 'csv',
  keys: [['arrival_timestamp', 'prompt_size', 'token_size']],
  optional: [],
  open: () =>
    tableReader({
      prompt: 'prompt_size',
      output: 'token_size',
      arrivalNs: seconds('arrival_timestamp'),
    }),
};

export const blisFormat: WorkloadFormat = {
  name: 'blis',
  about: 'BLIS TraceV2: YAML header, then CSV; us, from the first row',
  syntax: 'csv',
  keys: [['request_id', 'input_tokens', 'output_tokens', 'arrival_time_us']],
  optional: ['prefix_group', 'prefix_length', 'session_id', 'slo_class', 'vllm_priority', 'status'],
  open: openBlis,
};

function openBlis(): RowReader {
  const groups = new Map<string, number>();
  const dropped = new Dropped();
  let nextId = 0;
  let firstUs: number | undefined;
  const read = (row: Row, at: string): readonly Draft[] => {
    const promptTokens = integerField(row, 'input_tokens', at);
    const outputTokens = integerField(row, 'output_tokens', at);
    if (outputTokens === 0) return dropped.add(emptyOutput);
    if (promptTokens === 0) return dropped.add(emptyPrompt);
    const arrivalUs = numberField(row, 'arrival_time_us', at);
    firstUs ??= arrivalUs;
    const request: Draft['request'] = {
      id: nextId++,
      arrivalNs: Math.round((arrivalUs - firstUs) * 1000),
      promptTokens,
      outputTokens,
    };
    const session = textField(row, 'session_id');
    if (session !== undefined) request.session = session;
    const sloClass = textField(row, 'slo_class');
    if (sloClass !== undefined) request.sloClass = sloClass;
    if (hasField(row, 'vllm_priority')) request.priority = integerField(row, 'vllm_priority', at);
    const group = textField(row, 'prefix_group');
    if (group === undefined || !hasField(row, 'prefix_length')) return [{ request }];
    const shared = Math.min(integerField(row, 'prefix_length', at), promptTokens);
    const first = groups.get(group);
    if (first === undefined) groups.set(group, Number(request.id));
    else if (shared > 0) request.prefix = { of: first, tokens: shared };
    return [{ request }];
  };
  return { read, notes: () => dropped.notes() };
}
