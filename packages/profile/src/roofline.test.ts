/** Goal: rooflines follow their two limits and the shape of the model. Method: easy numbers. */
import type { ModelShape } from '@astrolabe/config';
import { expect, test } from 'vitest';
import { deviceSchema } from './device.js';
import type { AttentionBatch } from './latency-model.js';
import { rooflineTable } from './roofline.js';
import { modelOfTable } from './table-model.js';

const device = deviceSchema.parse({
  name: 'Unit',
  vendor: 'Example',
  source: 'made up',
  // 100 operations a ps, 1 byte a ps.
  peak_tflops: { bf16: 100 },
  memory_bandwidth_gb_s: 1000,
  memory_gib: 10,
  compute_units: 100,
  cache_mib: 1,
});

const shape: ModelShape = {
  name: 'org/Model',
  family: 'llama',
  hiddenSize: 4096,
  numLayers: 2,
  numHeads: 32,
  numKvHeads: 8,
  headDim: 128,
  intermediateSize: 8192,
  vocabSize: 32_000,
  maxPositionEmbeddings: 32_768,
  dtype: 'bfloat16',
  tiedEmbeddings: false,
  attentionBias: false,
  lmHeadBias: false,
  slidingWindow: undefined,
  qkNorm: false,
  moe: undefined,
};

function decodes(count: number, context: number): AttentionBatch {
  return {
    prefillCount: 0,
    prefillNewTokens: [],
    prefillContextTokens: [],
    decodeCount: count,
    decodeContextSum: count * context,
  };
}

test('one token reads the weights, many tokens multiply', () => {
  const model = modelOfTable(rooflineTable(device, shape, 'bf16', [1, 2]));
  // o_proj: 4096 x 4096 weights of 2 bytes at 930 bytes/ns.
  const readNs = (4096 * 4096 * 2) / 930 + device.launch_ns;
  expect(model.denseNs('o_proj', 1, 1)).toBeGreaterThan(readNs * 0.99);
  expect(model.denseNs('o_proj', 1, 1)).toBeLessThan(readNs * 1.1);
  const flopNs = (2 * 16_384 * 4096 * 4096) / (100_000 * 0.9);
  expect(model.denseNs('o_proj', 1, 16_384) / flopNs).toBeGreaterThan(1);
  expect(model.denseNs('o_proj', 1, 16_384) / flopNs).toBeLessThan(1.1);
  expect(model.denseNs('gate_up_proj', 2, 1)).toBeLessThan(model.denseNs('gate_up_proj', 1, 1));
});

test('decodes read every cache once; a window bounds it', () => {
  const model = modelOfTable(rooflineTable(device, shape, 'bf16', [1]));
  const bytes = 128 * 8192 * 2 * 8 * 128 * 2;
  const ratio = model.attentionNs(1, decodes(128, 8192)) / (bytes / 950);
  expect(ratio).toBeGreaterThan(1);
  expect(ratio).toBeLessThan(1.05);
  const windowed = { ...shape, slidingWindow: 1024 };
  const short = modelOfTable(rooflineTable(device, windowed, 'bf16', [1]));
  expect(short.attentionNs(1, decodes(128, 8192))).toBe(short.attentionNs(1, decodes(128, 1024)));
});

test('experts: weights of the activated ones, arithmetic of all tokens', () => {
  const experts = { numExperts: 64, expertsPerToken: 2, intermediateSize: 1024 };
  const model = modelOfTable(rooflineTable(device, { ...shape, moe: experts }, 'bf16', [1]));
  expect(model.has('gate_up_proj', 1)).toBe(false);
  const few = model.moeNs(1, 32, 8);
  const many = model.moeNs(1, 32, 64);
  // 56 more experts of 3 * 4096 * 1024 weights of 2 bytes.
  const moreNs = (56 * 3 * 4096 * 1024 * 2) / 930;
  expect((many - few) / moreNs).toBeGreaterThan(0.9);
  expect((many - few) / moreNs).toBeLessThan(1.1);
});

test('quantised weights are read in fewer bytes, and multiplied in their type where activations are too', () => {
  const experts = { numExperts: 64, expertsPerToken: 2, intermediateSize: 1024 };
  const parts = ['attention', 'experts'] as const;
  const times = (weightBits: number, compute?: 'fp8') => {
    const quantization = { method: 'x', weightBits, parts, ...(compute && { compute }) };
    const fast = { ...device, peak_tflops: { bf16: 1000, fp8: 2000 } };
    const quantised = { ...shape, moe: experts, quantization };
    return modelOfTable(rooflineTable(fast, quantised, 'bf16', [1]));
  };
  const plain = times(16);
  const readNs = (bits: number): number => (4096 * 4096 * (bits / 8)) / 930;
  const saved = (bits: number) =>
    plain.denseNs('o_proj', 1, 1) - times(bits).denseNs('o_proj', 1, 1);
  expect(saved(8) / (readNs(16) - readNs(8))).toBeGreaterThan(0.8);
  expect(saved(8) / (readNs(16) - readNs(8))).toBeLessThan(1);
  const expertNs = (32 * 3 * 4096 * 1024 * 1.5) / 930;
  expect((plain.moeNs(1, 32, 32) - times(4).moeNs(1, 32, 32)) / expertNs).toBeGreaterThan(0.7);
  // Many tokens compute: weights alone make no difference, products in FP8 take half.
  const many = (model: typeof plain): number => model.denseNs('o_proj', 1, 16_384);
  expect(many(times(4)) / many(plain)).toBeGreaterThan(0.97);
  expect(many(times(8, 'fp8')) / many(plain)).toBeLessThan(0.65);
  // What is not quantised stays as it is.
  expect(times(4).perSequenceNs('lm_head', 1, 1)).toBe(plain.perSequenceNs('lm_head', 1, 1));
});

test('all experts, and those that one token reaches, are in the table, also where no power of two', () => {
  const moe = { numExperts: 160, expertsPerToken: 6, intermediateSize: 1024 };
  const model = modelOfTable(rooflineTable(device, { ...shape, moe }, 'bf16', [1]));
  for (const [tokens, activated] of [
    [1, 6],
    [1, 4],
    [128, 160],
    [1024, 160],
  ]) {
    model.moeNs(1, tokens, activated);
  }
  expect(model.counters).toMatchObject({ exact: 4, extrapolated: 0 });
});

test('units without tiles do the arithmetic of one row; decodes start on vector units', () => {
  const few = { ...device, compute_units: 8 };
  const model = (change: object) =>
    modelOfTable(rooflineTable({ ...few, ...change }, shape, 'bf16', [1]));
  // Slow enough for arithmetic to decide: 4096 x 4096 products at 0.09 a ps.
  const slow = { peak_tflops: { bf16: 0.1 }, works_in_tiles: false };
  const rowNs = (2 * 4096 * 4096) / (100 * 0.9);
  expect(model(slow).denseNs('o_proj', 1, 1) / rowNs).toBeCloseTo(1, 1);
  const tiled = { ...slow, works_in_tiles: true };
  expect(model(tiled).denseNs('o_proj', 1, 1)).toBeGreaterThan(16 * rowNs);
  const starts = (change: object): number =>
    model(change).attentionNs(1, decodes(64, 128)) -
    model(change).attentionNs(1, decodes(1, 64 * 128));
  expect(starts({ vector_units: 64 }) / starts({})).toBeCloseTo(8 / 64, 3);
});

test('what the device cannot do is said', () => {
  expect(() => rooflineTable(device, shape, 'fp8', [1])).toThrow(/Unit has no fp8 peak/);
  const fp4 = { ...device, peak_tflops: { bf16: 100, fp4: 400 } };
  expect(() => rooflineTable(fp4, shape, 'fp4', [1])).toThrow('no roofline of dtype "fp4"');
  expect(() => rooflineTable(device, shape, 'bf16', [3])).toThrow(/32 heads .* TP 3/);
});
