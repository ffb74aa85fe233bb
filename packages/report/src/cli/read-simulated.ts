/** Simulated runs: a folder that `serving-loop --output` wrote, or a CSV of LLMServingSim. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseWith, UserError } from '@astrolabe/base';
import { readJson } from '@astrolabe/base/cli';
import { z } from 'zod';
import type { RequestRow, RunData, Series } from '../run-data.js';
import { cell, intervalNsOf, readTable, type TableRow } from './read-table.js';
import { resultOf } from './run-folder.js';

/** Of the summary and the manifest, also of other versions. */
const blocksSchema = z.looseObject({
  instances: z.array(z.looseObject({ kvBlocks: z.number().optional() })).default([]),
});
const manifestSchema = z.looseObject({ complete: z.boolean().optional() });

/** @throws UserError with the file */
export function readSimulated(folder: string): RunData {
  const path = resultOf(folder, 'requests.csv');
  const table = readTable(path, ',');
  if (table.length === 0) throw new UserError('no requests', { at: path });
  const rows = table.flatMap((row) => toRow(row, path));
  const intervals = join(folder, 'intervals.csv');
  return {
    source: folder,
    rows,
    totalRequests: table.length,
    series: existsSync(intervals) ? readIntervals(intervals) : undefined,
    kvBlocks: kvBlocks(join(folder, 'summary.json')),
    notes: manifestNotes(join(folder, 'run.json')),
  };
}

function toRow(row: TableRow, path: string): RequestRow[] {
  if (row.status !== 'finished') return [];
  return [
    {
      id: row.request,
      promptTokens: cell(row, 'prompt_tokens', path),
      outputTokens: cell(row, 'output_tokens', path),
      arrivalNs: cell(row, 'arrival_ns', path),
      scheduledNs: cell(row, 'scheduled_ns', path),
      firstTokenNs: cell(row, 'first_token_ns', path),
      lastTokenNs: cell(row, 'finish_ns', path),
    },
  ];
}

function readIntervals(path: string): Series | undefined {
  const rows = readTable(path, ',');
  if (rows.length < 2) return undefined;
  return {
    intervalNs: intervalNsOf(rows, path),
    promptTokens: rows.map((row) => cell(row, 'prompt_tokens', path)),
    outputTokens: rows.map((row) => cell(row, 'output_tokens', path)),
  };
}

/** Blocks of one instance, when all have the same number. */
function kvBlocks(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const { instances } = parseWith(blocksSchema, readJson(path), path);
  const blocks = new Set(instances.map((instance) => instance.kvBlocks));
  return blocks.size === 1 ? [...blocks][0] : undefined;
}

function manifestNotes(path: string): string[] {
  if (!existsSync(path)) return ['run.json is missing: the simulated run may not be complete'];
  const { complete } = parseWith(manifestSchema, readJson(path), path);
  return complete === true ? [] : ['the simulated run is not complete'];
}

/** LLMServingSim's per-request CSV (`sim.csv`): ns, one row per request; ids count from 0. */
export function readLlmServingSimCsv(path: string): RunData {
  const rows = readTable(path, ',').map((row) => {
    const arrivalNs = cell(row, 'arrival', path);
    return {
      id: row['request id'],
      promptTokens: cell(row, 'input', path),
      outputTokens: cell(row, 'output', path) - legacyPrompt(row, path),
      arrivalNs,
      scheduledNs: arrivalNs + cell(row, 'queuing_delay', path),
      firstTokenNs: arrivalNs + cell(row, 'TTFT', path),
      lastTokenNs: cell(row, 'end_time', path),
    };
  });
  return { source: path, rows, totalRequests: rows.length, notes: [] };
}

/** Some versions write prompt + output as `output`; the number of gaps tells. */
function legacyPrompt(row: TableRow, path: string): number {
  const gaps = row.ITL === undefined || row.ITL === '[]' ? 0 : row.ITL.split(',').length;
  return cell(row, 'output', path) > gaps + 1 ? cell(row, 'input', path) : 0;
}
