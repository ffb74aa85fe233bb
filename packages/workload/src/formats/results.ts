/**
 * Results of load generators, read back as workloads: vLLM `bench serve`, AIPerf, LLMServingSim's
 * bench, APEX bodies. Only what was sent counts: arrivals and tokens, from the first request on.
 */
import { UserError } from '@astrolabe/base';
import type { Request } from '../request.js';
import {
  arrivalSource,
  type Draft,
  Dropped,
  integerField,
  numberField,
  numbersField,
  objectField,
  type ReadOptions,
  type Row,
  type RowReader,
  secondsToNs,
  textField,
  type WorkloadFormat,
} from './format.js';

export const vllmBenchFormat: WorkloadFormat = {
  name: 'vllm-bench',
  about: 'vLLM bench serve result with details; seconds; failed requests are left out',
  syntax: 'jsonl',
  keys: [['input_lens', 'output_lens']],
  optional: ['start_times', 'errors'],
  open: (options) => {
    const dropped = new Dropped();
    return {
      read: (row, at) => readVllmBench(row, at, options, dropped),
      notes: () => dropped.notes(),
    };
  },
};

function readVllmBench(row: Row, at: string, options: ReadOptions, dropped: Dropped): Draft[] {
  const prompts = numbersField(row, 'input_lens', at);
  const outputs = numbersField(row, 'output_lens', at);
  const starts = Array.isArray(row.start_times) ? numbersField(row, 'start_times', at) : undefined;
  if (outputs.length !== prompts.length || (starts ?? prompts).length !== prompts.length) {
    throw new UserError('input_lens, output_lens and start_times differ in number', { at });
  }
  const firstS = starts?.reduce((least, start) => Math.min(least, start), Infinity) ?? 0;
  const rows = prompts.map((promptTokens, i) => ({
    promptTokens,
    outputTokens: outputs[i],
    arrivalNs: starts === undefined ? arrivalSource(options, at) : secondsToNs(starts[i] - firstS),
  }));
  const good = rows.filter((one) => {
    if (one.outputTokens > 0 && one.promptTokens > 0) return true;
    dropped.add('no tokens (failed requests)');
    return false;
  });
  good.sort((a, b) => a.arrivalNs - b.arrivalNs);
  return good.map((one, id) => ({ request: { id, ...one } }));
}

export const aiperfFormat: WorkloadFormat = {
  name: 'aiperf',
  about: 'AIPerf profile_export.jsonl; ns epoch, from the first request; warm-up left out',
  syntax: 'jsonl',
  keys: [['metadata', 'metrics']],
  optional: ['error'],
  open: openAiperf,
};

const promptMetrics = ['input_sequence_length', 'input_token_count', 'isl'];
const outputMetrics = ['output_sequence_length', 'output_token_count', 'osl'];

/** Lines come as requests end: ids are given in order of start, once all are known. */
function openAiperf(): RowReader {
  const dropped = new Dropped();
  const sent: (Omit<Request, 'id' | 'arrivalNs'> & { readonly start: bigint })[] = [];
  const read = (row: Row, at: string): readonly Draft[] => {
    const metadata = objectField(row, 'metadata', at);
    if (row.error !== undefined && row.error !== null) return dropped.add('errors');
    if (metadata.was_cancelled === true) return dropped.add('cancelled');
    if (metadata.benchmark_phase === 'warmup') return dropped.add('warm-up');
    const metrics = objectField(row, 'metrics', at);
    const start = epochNs(metadata, 'request_start_ns', at);
    const promptTokens = tokens(metrics, promptMetrics, at);
    const outputTokens = tokens(metrics, outputMetrics, at);
    if (promptTokens === 0 || outputTokens === 0) return dropped.add('no tokens');
    const session =
      textField(metadata, 'x_correlation_id') ?? textField(metadata, 'conversation_id');
    sent.push({ start, promptTokens, outputTokens, ...(session === undefined ? {} : { session }) });
    return [];
  };
  const end = (): Draft[] => {
    sent.sort((a, b) => Number(a.start - b.start));
    return sent.map(({ start, ...request }, id) => ({
      request: { id, arrivalNs: Number(start - sent[0].start), ...request },
    }));
  };
  return { read, end, notes: () => dropped.notes() };
}

/** Epoch ns exceed 2^53; the reader keeps such numbers as text. */
function epochNs(row: Row, name: string, at: string): bigint {
  const text = textField(row, name);
  if (text === undefined) throw new UserError(`${name} is missing`, { at });
  if (/^\d+$/.test(text)) return BigInt(text);
  throw new UserError(`${name}: expected integer ns, got ${JSON.stringify(row[name])}`, { at });
}

function tokens(metrics: Row, names: readonly string[], at: string): number {
  for (const name of names) {
    if (metrics[name] === undefined) continue;
    const metric = objectField(metrics, name, at);
    const unit = textField(metric, 'unit') ?? 'tokens';
    if (unit !== 'tokens') {
      throw new UserError(`${name}: expected the unit tokens, got ${JSON.stringify(unit)}`, { at });
    }
    return integerField(metric, 'value', at);
  }
  throw new UserError(`metrics: none of ${names.join(', ')}`, { at });
}

export const llmServingSimBenchFormat: WorkloadFormat = {
  name: 'llmservingsim-bench',
  about: 'requests.jsonl of a measured run; epoch seconds of arrival, from the first request',
  syntax: 'jsonl',
  keys: [['input_toks', 'output_toks', 'arrival_time']],
  optional: ['request_id'],
  open: () => {
    let firstS: number | undefined;
    const read = (row: Row, at: string): Draft[] => {
      const arrivalS = numberField(row, 'arrival_time', at);
      firstS ??= arrivalS;
      const request: Request = {
        id: textField(row, 'request_id') ?? at,
        arrivalNs: secondsToNs(arrivalS - firstS),
        promptTokens: integerField(row, 'input_toks', at),
        outputTokens: integerField(row, 'output_toks', at),
      };
      return [{ request }];
    };
    return { read };
  },
};

export const apexFormat: WorkloadFormat = {
  name: 'apex',
  about: 'APEX JSONL, ns from the start',
  syntax: 'jsonl',
  keys: [['StartTimeOffset', 'ContextTokens', 'GeneratedTokens']],
  optional: [],
  open: () => {
    let nextId = 0;
    const read = (row: Row, at: string): Draft[] => [
      {
        request: {
          id: nextId++,
          arrivalNs: Math.round(numberField(row, 'StartTimeOffset', at)),
          promptTokens: integerField(row, 'ContextTokens', at),
          outputTokens: integerField(row, 'GeneratedTokens', at),
        },
      },
    ];
    return { read };
  },
};
