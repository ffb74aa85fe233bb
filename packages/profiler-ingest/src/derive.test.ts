/** Goal: transfer, merge, check and diff on tables small enough to follow. */
import type { ModelShape } from '@astrolabe/config';
import {
  deviceSchema,
  modelOfTable,
  operatorPowerOf,
  type ProfileRow,
  type ProfileTable,
  ProfileTableBuilder,
  rooflineTable,
} from '@astrolabe/profile';
import { expect, test } from 'vitest';
import { checkCoverage } from './check.js';
import { readDevices } from './cli/devices.js';
import { differenceLines, differences } from './diff.js';
import { inspectTable } from './inspect.js';
import { mergeTables } from './merge.js';
import { transferTable } from './transfer.js';

const shape: ModelShape = {
  name: 'org/Model',
  family: 'qwen3',
  hiddenSize: 1024,
  numLayers: 2,
  numHeads: 8,
  numKvHeads: 4,
  headDim: 128,
  intermediateSize: 4096,
  vocabSize: 32_000,
  maxPositionEmbeddings: 4096,
  dtype: 'bfloat16',
  tiedEmbeddings: false,
  attentionBias: false,
  lmHeadBias: false,
  slidingWindow: undefined,
  qkNorm: false,
  moe: undefined,
};

function device(name: string, factor: number) {
  return deviceSchema.parse({
    name,
    vendor: 'Example',
    source: 'made up',
    peak_tflops: { bf16: 100 * factor },
    memory_bandwidth_gb_s: 1000 * factor,
    memory_gib: 10,
    compute_units: 100,
    cache_mib: 50,
    launch_ns: 1,
  });
}

const info = {
  hardware: 'Slow',
  model: 'org/Model',
  dtype: 'bf16',
  source: 'made up',
  measurement: 'kernel',
} as const;

function tableOf(rows: readonly ProfileRow[], more: object = {}): ProfileTable {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return builder.build({ ...info, ...more });
}

const dense = (tokens: number, durationNs: number): ProfileRow => ({
  kind: 'dense',
  operator: 'qkv_proj',
  tp: 1,
  tokens,
  durationNs,
});

test('twice the device halves the measured time; what was not measured is the roofline', () => {
  const measured = tableOf([dense(1, 20_000), dense(1024, 90_000)]);
  const [slow, fast] = [device('Slow', 1), device('Fast', 2)];
  const end = { shape, dtype: 'bf16' };
  const transferred = transferTable(
    measured,
    { device: slow, ...end },
    { device: fast, ...end },
    [1],
  );
  const model = modelOfTable(transferred);
  expect(model.denseNs('qkv_proj', 1, 1) / 10_000).toBeCloseTo(1, 2);
  expect(model.denseNs('qkv_proj', 1, 1024) / 45_000).toBeCloseTo(1, 2);
  const roofline = modelOfTable(rooflineTable(fast, shape, 'bf16', [1]));
  expect(model.denseNs('down_proj', 1, 64)).toBe(roofline.denseNs('down_proj', 1, 64));
  expect(transferred.info).toMatchObject({ measurement: 'derived', hardware: 'Fast' });
  expect(transferred.info.notes?.[0]).toMatch(/expected error up to \d+ %/);
});

test('attention and experts that were not measured are the roofline, too; rows that nobody looks up go', () => {
  const moe = { numExperts: 8, expertsPerToken: 2, intermediateSize: 512 };
  const end = { shape: { ...shape, moe }, dtype: 'bf16' };
  const slow = device('Slow', 1);
  const attention = { ...dense(4, 7), operator: 'attention' };
  const decodes = { tokens: 0, contextTokens: 0, sequences: 4, decodeContextTokens: 16 };
  const carried = (rows: readonly ProfileRow[]) =>
    transferTable(tableOf(rows), { device: slow, ...end }, { device: slow, ...end }, [1]);
  const few = carried([dense(1, 20_000), attention]);
  expect(checkCoverage(modelOfTable(few), end.shape, 1, []).missing).toEqual([]);
  expect(few.info.notes?.[1]).toMatch(/from the roofline alone: .*attention of a mix.*moe/);
  const half = carried([{ ...attention, ...decodes, kind: 'attention', durationNs: 99 }]);
  expect(half.info.notes?.[1]).toMatch(/attention of a chunk/);
  expect(half.info.notes?.[1]).not.toMatch(/attention of decodes|attention of a mix/);
});

test('powers go to other shapes of the same device, not to another device', () => {
  const measured = tableOf([{ ...dense(1, 20_000), powerWatts: 250 }, dense(1024, 90_000)]);
  const [slow, fast] = [device('Slow', 1), device('Fast', 2)];
  const end = { shape, dtype: 'bf16' };
  const to = (other: typeof slow) =>
    operatorPowerOf(
      transferTable(measured, { device: slow, ...end }, { device: other, ...end }, [1]),
    );
  expect(to(slow)?.denseW('qkv_proj', 1, 1)).toBe(250);
  expect(to(fast)).toBeUndefined();
});

test('merging adds rows and refuses other kinds of measurement', () => {
  const merged = mergeTables([tableOf([dense(1, 10)]), tableOf([dense(2, 20)])], ['a', 'b']);
  expect(merged.length).toBe(2);
  const other = tableOf([dense(2, 20)], { measurement: 'cuda_event' });
  expect(() => mergeTables([merged, other], ['a.arrow', 'b.arrow'])).toThrow(
    /^b\.arrow: measurement is cuda_event, in a\.arrow it is kernel/,
  );
});

test('coverage: missing operators, share of lookups outside the table', () => {
  const model = modelOfTable(tableOf([dense(4, 10), dense(8, 20)]));
  const batches = [
    { newTokens: [4, 1], contextTokens: [0, 16] },
    { newTokens: [16], contextTokens: [0] },
  ];
  const coverage = checkCoverage(model, shape, 1, batches);
  expect(coverage.missing).toContain('attention');
  expect(coverage).toMatchObject({
    lookups: 2,
    extrapolated: 1,
    longestContext: 16,
    mostTokens: 16,
  });
});

test('coverage: attention of which a half was not measured', () => {
  const decodes = { tokens: 0, contextTokens: 0, sequences: 4, decodeContextTokens: 16 };
  const row = {
    kind: 'attention',
    operator: 'attention',
    tp: 1,
    durationNs: 9,
    ...decodes,
  } as const;
  const batches = [{ newTokens: [4, 1], contextTokens: [0, 16] }];
  const { missing } = checkCoverage(modelOfTable(tableOf([row])), shape, 1, batches);
  expect(missing).toContain('attention of a chunk');
  expect(missing).not.toContain('attention of decodes');
});

test('differences, signed, at the measured points', () => {
  const measured = tableOf([dense(1, 100), dense(2, 200)]);
  const other = modelOfTable(tableOf([dense(1, 110), dense(2, 240)]));
  const missing = new Set<string>();
  const rows = differences(measured, other, missing);
  expect(rows).toMatchObject([{ meanAbsPercent: 15, biasPercent: 15, totalPercent: 16.67 }]);
  expect(differenceLines(rows)[1]).toContain('+15.0');
});

test('inspection names what a decoder block would miss and points that stand out', () => {
  const table = tableOf([dense(1, 100), dense(2, 900), dense(3, 110)]);
  const text = inspectTable(table).join('\n');
  expect(text).toMatch(/missing for a decoder block: embedding; layernorm/);
  expect(text).toContain('qkv_proj at 2: 0.9000 us');
});

test('a point stands out by more than a quarter, of both neighbours', () => {
  const off = (middle: number, last = 100): string =>
    inspectTable(tableOf([dense(1, 100), dense(2, middle), dense(3, last)])).join('\n');
  expect(off(126)).toContain('more than 25 % off their neighbours: 1');
  expect(off(125)).toContain('more than 25 % off their neighbours: 0');
  expect(off(74)).toContain('off their neighbours: 1');
  expect(off(126, 126)).toContain('off their neighbours: 0');
});

test('inspection tells repeated points, and attention that no batch looks up', () => {
  const attention = { ...dense(4, 7), operator: 'attention' };
  const text = inspectTable(tableOf([dense(1, 100), dense(1, 120), attention])).join('\n');
  expect(text).toMatch(/qkv_proj .* 2 points.*, 1 repeated: the mean counts/);
  expect(text).toMatch(/missing for a decoder block: .*; attention;/);
});

test('inspection says where attention forms no grid', () => {
  const decodes = (sequences: number, decodeContextTokens: number): ProfileRow => ({
    ...dense(0, 9000),
    ...{ kind: 'attention', operator: 'attention', contextTokens: 0 },
    ...{ sequences, decodeContextTokens },
  });
  const textOf = (rows: readonly ProfileRow[]): string => inspectTable(tableOf(rows)).join('\n');
  expect(textOf([1, 2, 3, 4].map((n) => decodes(n, n * n)))).toMatch(
    /attention +decodes .* no grid/,
  );
  expect(textOf([1, 2, 3, 4].map((n) => decodes(n, 16)))).not.toContain('no grid');
});

test('every shipped data sheet is valid and makes a profile', () => {
  const devices = readDevices();
  expect(devices.length).toBeGreaterThanOrEqual(13);
  for (const sheet of devices) {
    const table = rooflineTable(sheet, shape, 'bf16', [1]);
    expect(modelOfTable(table).denseNs('qkv_proj', 1, 1)).toBeGreaterThan(100);
  }
});
