/** Smaller tables of other tools: GEMMs by size, attention by length, whole steps, kernel sums. */
import { nsPerMs, nsPerUs, UserError } from '@astrolabe/base';
import {
  type KeyColumn,
  kindOfOperator,
  measurementKinds,
  type ProfileInfo,
  type ProfileTableBuilder,
  requiredKeys,
} from '@astrolabe/profile';
import { type CsvAdapter, hasAll, type ImportOptions } from './adapter.js';
import type { CsvTable } from './csv.js';
import { gemmOperator } from './gemm-names.js';

/** One GEMM of m rows; lm_head runs on one row per sequence. */
function addGemm(
  into: ProfileTableBuilder,
  options: ImportOptions,
  [m, k, n]: readonly [number, number, number],
  durationNs: number,
  powerWatts?: number,
): void {
  const operator = gemmOperator(options.shape, options.tp, k, n);
  const power = powerWatts === undefined ? {} : { powerWatts };
  const row = { operator, tp: options.tp, durationNs, ...power };
  if (operator === 'lm_head') into.add({ kind: 'per_sequence', sequences: m, ...row });
  else into.add({ kind: 'dense', tokens: m, ...row });
}

export const apexGemm: CsvAdapter = {
  name: 'APEX GEMM table',
  matches: (header) => hasAll(header, ['gpu', 'dtype', 'm', 'k', 'n', 'time(us)']),
  read(csv, options, into) {
    const [m, k, n] = ['m', 'k', 'n'].map((name) => csv.column(name));
    const time = csv.column('time(us)');
    for (let i = 0; i < csv.rows.length; i++) {
      const size = [csv.count(i, m), csv.count(i, k), csv.count(i, n)] as const;
      addGemm(into, options, size, csv.durationNs(i, time, nsPerUs));
    }
    return { measurement: 'cuda_event', source: 'APEX GEMM table', notes: [] };
  },
};

export const apexCommunication: CsvAdapter = {
  name: 'APEX communication table',
  matches: (header) => hasAll(header, ['num_nodes', 'num_gpus_per_node', 'size(kb)', 'time(us)']),
  read(csv, _options, into) {
    const nodes = csv.column('num_nodes');
    const perNode = csv.column('num_gpus_per_node');
    const size = csv.column('size(kb)');
    const time = csv.column('time(us)');
    for (let i = 0; i < csv.rows.length; i++) {
      const devices = csv.count(i, nodes) * csv.count(i, perNode);
      into.add({
        kind: 'collective',
        operator: 'all_reduce',
        tp: devices,
        sequences: devices,
        devicesPerNode: csv.count(i, perNode),
        sizeBytes: Math.round(csv.number(i, size) * 1024),
        durationNs: csv.durationNs(i, time, nsPerUs),
      });
    }
    const notes = ['taken as all-reduce: the file does not say'];
    return { measurement: 'cuda_event', source: 'APEX communication table', notes };
  },
};

/** AIConfigurator collector: latency in ms, power in W. */
export const aiConfigurator: CsvAdapter = {
  name: 'AIConfigurator GEMM table',
  matches: (header) => hasAll(header, ['framework', 'op_name', 'm', 'n', 'k', 'latency']),
  read(csv, options, into) {
    const [m, k, n] = ['m', 'k', 'n'].map((name) => csv.column(name));
    const time = csv.column('latency');
    const power = csv.header.indexOf('power');
    for (let i = 0; i < csv.rows.length; i++) {
      const watts = power < 0 || csv.rows[i][power] === '' ? undefined : csv.number(i, power);
      const size = [csv.count(i, m), csv.count(i, k), csv.count(i, n)] as const;
      addGemm(into, options, size, csv.durationNs(i, time, nsPerMs), watts);
    }
    const version = csv.rows[0][csv.column('framework')];
    return { measurement: 'cuda_event', source: `AIConfigurator, ${version}`, notes: [] };
  },
};

/** InferSim: one sequence; one query is a decode. */
export const inferSim: CsvAdapter = {
  name: 'InferSim attention table',
  matches: (header) => hasAll(header, ['s_q', 's_kv', 'latency_us']),
  read(csv, options, into) {
    const queries = csv.column('s_q');
    const keys = csv.column('s_kv');
    const time = csv.column('latency_us');
    for (let i = 0; i < csv.rows.length; i++) {
      const q = csv.count(i, queries);
      const kv = csv.count(i, keys);
      into.add({
        kind: 'attention',
        operator: 'attention',
        tp: options.tp,
        tokens: q > 1 ? q : 0,
        contextTokens: q > 1 ? Math.max(0, kv - q) : 0,
        sequences: q > 1 ? 0 : 1,
        decodeContextTokens: q > 1 ? 0 : kv,
        durationNs: csv.durationNs(i, time, nsPerUs),
      });
    }
    return { measurement: 'kernel', source: 'InferSim attention table', notes: [] };
  },
};

/** splitwise-sim: whole steps of whole models; power is relative to the peak. */
export const splitwise: CsvAdapter = {
  name: 'splitwise performance model',
  matches: (header) => hasAll(header, ['prompt_size', 'batch_size', 'prompt_time', 'token_time']),
  read(csv, _options, into) {
    const [prompt, batch] = ['prompt_size', 'batch_size'].map((name) => csv.column(name));
    const [promptTime, tokenTime] = ['prompt_time', 'token_time'].map((name) => csv.column(name));
    const degree = csv.column('tensor_parallel');
    for (let i = 0; i < csv.rows.length; i++) {
      const tp = csv.count(i, degree);
      const sequences = csv.count(i, batch);
      into.add({
        kind: 'dense',
        operator: 'prefill_step',
        tp,
        tokens: csv.count(i, prompt) * sequences,
        durationNs: csv.durationNs(i, promptTime, nsPerMs),
      });
      into.add({
        kind: 'per_sequence',
        operator: 'decode_step',
        tp,
        sequences,
        durationNs: csv.durationNs(i, tokenTime, nsPerMs),
      });
    }
    const notes = ['whole steps, not operators: for comparison, no block can be built of them'];
    return { measurement: 'wall_clock', source: 'splitwise performance model', notes };
  },
};

/** LLMCompass look-up: no header, M,N,K,rows,cols,dataflow,cycles,util%. */
export const llmCompass: CsvAdapter = {
  name: 'LLMCompass systolic-array table',
  matches: (first) =>
    first.length === 8 &&
    [0, 1, 2, 3, 4, 6].every((i) => /^\d+(\.\d+)?$/.test(first[i])) &&
    /^[a-z]+$/i.test(first[5]),
  read(csv, options, into) {
    const clock = options.clockGHz;
    if (clock === undefined) {
      throw new UserError('times are in cycles', { at: csv.at, hint: 'give --clock-ghz' });
    }
    // The header is the first row of data.
    const rows = [csv.header, ...csv.rows];
    rows.forEach((row, i) => {
      const [m, n, k, cycles] = [0, 1, 2, 6].map((column) => Number(row[column]));
      if (![m, n, k, cycles].every(Number.isFinite)) {
        throw new UserError(`expected numbers, got "${row.join(',')}"`, {
          at: `${csv.at}:${i + 1}`,
        });
      }
      addGemm(into, options, [m, k, n], Math.max(1, Math.round(cycles / clock)));
    });
    return {
      measurement: 'simulated',
      source: `LLMCompass at ${clock} GHz`,
      notes: ['matrix unit only, no memory traffic'],
    };
  },
};

/** Reads a unit from a column's name: latency_ns, latency_us, latency_ms, latency_s. */
const units: Record<string, number> = { ns: 1, us: nsPerUs, ms: nsPerMs, s: 1e9 };

const longKeys = {
  tokens: 'tokens',
  context_tokens: 'contextTokens',
  sequences: 'sequences',
  decode_context_tokens: 'decodeContextTokens',
  activated_experts: 'activatedExperts',
  size_bytes: 'sizeBytes',
  devices_per_node: 'devicesPerNode',
} as const;

const longKinds = ['dense', 'per_sequence', 'attention', 'moe', 'collective'] as const;

/** One measurement a row from any simulator: operator, kind, tp, its keys, latency, power. */
export const longCsv: CsvAdapter = {
  name: 'long CSV (operator, kind, tp, keys, latency_us, power_w)',
  matches: (header) => header.includes('operator') && header.some((n) => /^latency_\w+$/.test(n)),
  read: readLong,
};

function readLong(csv: CsvTable, options: ImportOptions, into: ProfileTableBuilder) {
  const operator = csv.column('operator');
  const latency = csv.header.findIndex((name) => /^latency_(ns|us|ms|s)$/.test(name));
  if (latency < 0) throw new UserError('latency needs a unit: latency_us', { at: `${csv.at}:1` });
  const scale = units[csv.header[latency].slice('latency_'.length)];
  const kindColumn = csv.header.indexOf('kind');
  const tpColumn = csv.header.indexOf('tp');
  const power = csv.header.indexOf('power_w');
  const keys = Object.entries(longKeys).filter(([name]) => csv.header.includes(name));
  const known = [
    'operator',
    'kind',
    'tp',
    'power_w',
    'measurement',
    csv.header[latency],
    ...Object.keys(longKeys),
  ];
  const measured = csv.header.indexOf('measurement');
  const ignored = csv.header.filter((name) => !known.includes(name));
  for (let i = 0; i < csv.rows.length; i++) {
    const row = csv.rows[i];
    const kind = (kindColumn < 0 ? 'dense' : row[kindColumn]) as (typeof longKinds)[number];
    if (!longKinds.includes(kind)) {
      throw new UserError(`unknown kind "${kind}"`, {
        at: csv.place(i),
        hint: `known: ${longKinds.join(', ')}`,
      });
    }
    requireKind(row[operator], kind, csv.place(i));
    const given = keys.filter(([name]) => row[csv.column(name)] !== '');
    requireKeys(kind, new Set(given.map(([, key]) => key)), csv.place(i));
    into.add({
      kind,
      operator: row[operator],
      tp: tpColumn < 0 ? options.tp : csv.count(i, tpColumn),
      durationNs: csv.durationNs(i, latency, scale),
      ...Object.fromEntries(given.map(([name, key]) => [key, csv.count(i, csv.column(name))])),
      ...(power >= 0 && row[power] !== '' && { powerWatts: csv.number(i, power) }),
    });
  }
  const notes = ignored.length === 0 ? [] : [`columns ignored: ${ignored.join(', ')}`];
  const measurement = measured < 0 ? 'unknown' : oneMeasurement(csv, measured);
  return { measurement, source: 'long CSV', notes };
}

/** @throws UserError rows of this kind are never asked for the operator */
function requireKind(operator: string, kind: (typeof longKinds)[number], at: string): void {
  const looked = kindOfOperator.get(operator);
  if (looked === undefined || looked === kind) return;
  throw new UserError(`${operator} of kind ${kind}: it is looked up as ${looked}`, {
    at,
    hint: `a column "kind" says ${looked}, with ${requiredKeys[looked].map(longName).join(', ')}`,
  });
}

/** @throws UserError a quantity that rows of the kind are looked up by is not there */
function requireKeys(
  kind: (typeof longKinds)[number],
  given: ReadonlySet<string>,
  at: string,
): void {
  const missing = requiredKeys[kind].filter((key) => !given.has(key)).map(longName);
  if (missing.length === 0) return;
  const hint = kind === 'attention' ? { hint: '0 for what the batch has not' } : {};
  throw new UserError(`a row of kind ${kind} needs ${missing.join(', ')}`, { at, ...hint });
}

/** The column of a key. */
function longName(key: KeyColumn): string {
  return Object.entries(longKeys).find(([, known]) => known === key)?.[0] ?? key;
}

/** @throws UserError an unknown kind of measurement, or two in one file */
function oneMeasurement(csv: CsvTable, column: number): ProfileInfo['measurement'] {
  const first = csv.rows[0][column] as ProfileInfo['measurement'];
  if (!measurementKinds.includes(first)) {
    throw new UserError(`unknown measurement "${first}"`, {
      at: csv.place(0),
      hint: `known: ${measurementKinds.join(', ')}`,
    });
  }
  const other = csv.rows.findIndex((row) => row[column] !== first);
  if (other >= 0) {
    throw new UserError(`measurement ${csv.rows[other][column]} after ${first}: never mix`, {
      at: csv.place(other),
    });
  }
  return first;
}
