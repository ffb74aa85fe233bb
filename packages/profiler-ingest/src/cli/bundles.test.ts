/** Goal: all reference bundles ingest, with the rows and spot values they hold. */
import { existsSync } from 'node:fs';
import { readText } from '@astrolabe/base/cli';
import { CollectiveTable } from '@astrolabe/profile';
import { describe, expect, test } from 'vitest';
import { importCsvFiles } from '../importers/import-csv.js';
import { loadTable } from './load-table.js';
import { findProfiles, openProfiles } from './open-profiles.js';

const refdata = new URL('../../../../../shared/refdata', import.meta.url).pathname;
const v1 = `${refdata}/llmservingsim/v1/profiles`;
const v0 = `${refdata}/llmservingsim/v0/profiles`;
const vidur = `${refdata}/vidur/profiling`;

describe.skipIf(!existsSync(refdata))('reference bundles (needs ../shared)', () => {
  test.each([
    ['RTX4090/meta-llama/Llama-3.1-8B', 9 * 152 + 2 * 40 + 8643 + 13_009],
    ['RTXPRO6000/meta-llama/Llama-3.1-8B', 2 * (9 * 152 + 2 * 40 + 19_364 + 13_009)],
  ])('%s', (path, rows) => {
    expect(loadTable(`${v1}/${path}/bf16`, {}).length).toBe(rows);
  });

  test('all v1 and v0 bundles are found, with their TP degrees', async () => {
    expect(findProfiles(v1).map((entry) => entry.hardware)).toHaveLength(4);
    expect(findProfiles(v0)).toHaveLength(8);
    const h100 = (await openProfiles(v0)).latencyModel('H100', 'meta-llama/Llama-3.1-70B');
    expect(h100.tpDegrees).toEqual([1, 2, 4]);
    expect(h100.denseNs('qkv_proj', 4, 1)).toBe(16_243 + 7443 + 7305);
    expect(h100.has('attention', 4)).toBe(true);
    expect(h100.has('attention', 1)).toBe(false);
  });

  test('v0 decodes are not faster than the memory', async () => {
    const a6000 = (await openProfiles(v0)).latencyModel('A6000', 'meta-llama/Llama-3.1-8B');
    const batch = {
      prefillCount: 0,
      prefillNewTokens: [],
      prefillContextTokens: [],
      decodeCount: 64,
      decodeContextSum: 64 * 1024,
    };
    // 64 * 1024 tokens of 4096 bytes at 95 % of 768 GB/s.
    const leastNs = (64 * 1024 * 4096) / (768 * 0.95);
    expect(a6000.attentionNs(1, batch)).toBeGreaterThanOrEqual(Math.floor(leastNs));
  });

  test('Vidur: operators and collectives', () => {
    const names = { hardware: 'A100', model: 'meta-llama/Meta-Llama-3-8B', dtype: 'bf16' };
    const options = { tp: 1, shape: undefined, clockGHz: undefined };
    const read = (file: string) =>
      importCsvFiles([{ at: file, text: readText(file) }], names, options);
    const mlp = read(`${vidur}/compute/a100/meta-llama/Meta-Llama-3-8B/mlp.csv.gz`);
    expect(mlp.length).toBe(4 * 456 * 10);
    const collectives = new CollectiveTable(read(`${vidur}/network/a100_dgx/all_reduce.csv.gz`));
    const small = collectives.timeNs('all_reduce', 8, 8, 16_384);
    const large = collectives.timeNs('all_reduce', 8, 8, 2 ** 26);
    expect(small).toBeGreaterThan(5000);
    expect(large / small).toBeGreaterThan(5);
    expect(() => collectives.timeNs('all_reduce', 3, 8, 1)).toThrow(/no measured all_reduce of 3/);
  });
});
