/** Files of any known profiler, told apart by their header, as one table. */
import { UserError } from '@astrolabe/base';
import { type ProfileInfo, type ProfileTable, ProfileTableBuilder } from '@astrolabe/profile';
import type { CsvAdapter, ImportOptions } from './adapter.js';
import { CsvTable } from './csv.js';
import { readV0Layers } from './llmservingsim-v0.js';
import { readV1Table, type V1Table } from './llmservingsim-v1.js';
import { nsysSummary } from './nsys-summary.js';
import {
  aiConfigurator,
  apexCommunication,
  apexGemm,
  inferSim,
  llmCompass,
  longCsv,
  splitwise,
} from './tables.js';
import { frontierMoe, vidurAttention, vidurCpuOverhead, vidurMlp, vidurNetwork } from './vidur.js';

const v1Headers: Record<V1Table, readonly string[]> = {
  dense: ['layer', 'tokens', 'time_us'],
  per_sequence: ['layer', 'sequences', 'time_us'],
  attention: ['prefill_chunk', 'kv_prefill', 'n_decode', 'kv_decode', 'time_us'],
  moe: ['tokens', 'activated_experts', 'time_us'],
  skew: ['n', 'pc', 'kp', 'kvs', 'kv_big', 'kv_mean', 't_mean_us', 't_max_us', 't_skew_us'],
};

const v1Adapters = (Object.keys(v1Headers) as V1Table[]).map(
  (name): CsvAdapter => ({
    name: `LLMServingSim v1 ${name}.csv`,
    matches: (header) => v1Headers[name].every((column) => header.includes(column)),
    read(csv, options, into) {
      readV1Table(name, csv, options.tp, into);
      return { measurement: 'kernel', source: 'LLMServingSim 2.0 profile', notes: [] };
    },
  }),
);

const v0Layers: CsvAdapter = {
  name: 'LLMServingSim v0 layers.csv',
  matches: (header) => ['layer_name', 'input', 'latency(ns)'].every((n) => header.includes(n)),
  read(csv, options, into) {
    const notes = readV0Layers(csv, options.tp, into);
    return { measurement: 'kernel', source: 'LLMServingSim 1.x profile', notes };
  },
};

const csvAdapters: readonly CsvAdapter[] = [
  ...v1Adapters,
  v0Layers,
  vidurMlp,
  vidurAttention,
  vidurNetwork,
  vidurCpuOverhead,
  frontierMoe,
  apexGemm,
  apexCommunication,
  aiConfigurator,
  inferSim,
  splitwise,
  nsysSummary,
  llmCompass,
  longCsv,
];

export interface InputFile {
  readonly at: string;
  readonly text: string;
}

export type TableNames = Pick<ProfileInfo, 'hardware' | 'model' | 'dtype'>;

/** @throws UserError unknown form, damage, or files measured in different ways */
export function importCsvFiles(
  files: readonly InputFile[],
  names: TableNames,
  options: ImportOptions,
): ProfileTable {
  const builder = new ProfileTableBuilder();
  const sources = new Set<string>();
  const notes = new Set<string>();
  let measurement: ProfileInfo['measurement'] | undefined;
  for (const { at, text } of files) {
    const csv = new CsvTable(text, at);
    const adapter = csvAdapters.find(({ matches }) => matches(csv.header));
    if (adapter === undefined) {
      throw new UserError('no known profiler writes these columns', {
        at: `${at}:1`,
        hint: `found ${csv.header.slice(0, 12).join(', ')}; a long CSV has operator and latency_us`,
      });
    }
    const read = adapter.read(csv, options, builder);
    if (measurement !== undefined && measurement !== read.measurement) {
      throw new UserError(`measured as ${read.measurement}, the files before as ${measurement}`, {
        at,
        hint: 'import them apart: times of different measurement never mix',
      });
    }
    measurement = read.measurement;
    sources.add(read.source);
    for (const note of read.notes) notes.add(note);
  }
  return builder.build({
    ...names,
    source: [...sources].join('; '),
    measurement: measurement ?? 'unknown',
    ...(notes.size > 0 && { notes: [...notes] }),
  });
}
