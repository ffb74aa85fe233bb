/** The formats we read, and which of them a record's keys belong to. */
import { nearest, UserError } from '@astrolabe/base';
import { rolloutFormat, trieFormat, wekaFormat } from './agentic.js';
import { astrolabeFormat } from './astrolabe.js';
import { compactCsvFormat } from './compact-csv.js';
import type { WorkloadFormat } from './format.js';
import { llmServingSimFormat } from './llmservingsim.js';
import { bailianFormat, mooncakeDeltaFormat, mooncakeFormat } from './mooncake.js';
import { aiperfFormat, apexFormat, llmServingSimBenchFormat, vllmBenchFormat } from './results.js';
import { shareGptFormat } from './sharegpt.js';
import {
  azureFormat,
  blisFormat,
  burstGptFormat,
  splitwiseFormat,
  vidurFormat,
  vidurLengthsFormat,
} from './tables.js';

/** More particular formats come before those whose keys they contain. */
export const workloadFormats: readonly WorkloadFormat[] = [
  astrolabeFormat,
  llmServingSimFormat,
  compactCsvFormat,
  llmServingSimBenchFormat,
  vidurFormat,
  vidurLengthsFormat,
  azureFormat,
  burstGptFormat,
  splitwiseFormat,
  blisFormat,
  bailianFormat,
  mooncakeFormat,
  mooncakeDeltaFormat,
  wekaFormat,
  trieFormat,
  rolloutFormat,
  vllmBenchFormat,
  aiperfFormat,
  apexFormat,
  shareGptFormat,
];

export function formatByName(name: string): WorkloadFormat {
  const found = workloadFormats.find((format) => format.name === name);
  if (found !== undefined) return found;
  const names = workloadFormats.map((format) => format.name);
  const guess = nearest(name, names);
  throw new UserError(`unknown workload format "${name}"`, {
    hint: guess === undefined ? `one of ${names.join(', ')}` : `did you mean "${guess}"?`,
  });
}

/**
 * @param keys keys of the first record, or the CSV header
 * @throws UserError when no format has these keys
 */
export function sniffFormat(
  keys: readonly string[],
  syntax: WorkloadFormat['syntax'],
  at: string,
): WorkloadFormat {
  const present = new Set(keys);
  for (const format of workloadFormats) {
    if (format.syntax !== syntax) continue;
    if (format.without?.some((key) => present.has(key)) === true) continue;
    if (format.keys.some((choice) => choice.every((key) => present.has(key)))) return format;
  }
  const shown = keys.slice(0, 12).join(', ');
  throw new UserError(`not a workload we know: ${syntax} with keys ${shown || '(none)'}`, {
    at,
    hint:
      'a table of your own: `workload convert --columns arrival_s=...,prompt=...,output=...`; ' +
      `formats: ${workloadFormats.map((format) => format.name).join(', ')}`,
  });
}

/** Keys of a record that its format does not read. */
export function ignoredKeys(format: WorkloadFormat, keys: readonly string[]): string[] {
  const known = new Set([...format.keys.flat(), ...format.optional]);
  return keys.filter((key) => !known.has(key));
}
