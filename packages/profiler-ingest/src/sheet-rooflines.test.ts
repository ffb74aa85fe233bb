/**
 * Goal: rooflines of the shipped sheets are plausible. Method: Llama-3.1-8B against what no kernel can
 * beat: weights over bandwidth for one token, arithmetic over the dense peak for a long prompt.
 */
import { fileURLToPath } from 'node:url';
import { readJson } from '@astrolabe/base/cli';
import { parseModel } from '@astrolabe/config';
import { type LatencyModel, modelOfTable, rooflineTable } from '@astrolabe/profile';
import { expect, test } from 'vitest';
import { readDevices } from './cli/devices.js';

const path = fileURLToPath(
  new URL('../../../cluster_config/models/meta-llama/Llama-3.1-8B.json', import.meta.url),
);
const shape = parseModel('meta-llama/Llama-3.1-8B', readJson(path), path);
/** Without the embedding, of which a token reads one row. */
const weights = 7.504e9;

interface Step {
  /** Tokens of one prompt; 0: none. */
  readonly prompt: number;
  readonly decodes: number;
  readonly context: number;
}

function stepNs(model: LatencyModel, { prompt, decodes, context }: Step): number {
  const dense = (operator: string): number => model.denseNs(operator, 1, prompt + decodes);
  const projections = ['qkv_proj', 'rotary_emb', 'o_proj', 'gate_up_proj', 'act_fn', 'down_proj'];
  const attention = model.attentionNs(1, {
    prefillCount: prompt > 0 ? 1 : 0,
    prefillNewTokens: prompt > 0 ? [prompt] : [],
    prefillContextTokens: prompt > 0 ? [0] : [],
    decodeCount: decodes,
    decodeContextSum: decodes * context,
  });
  const layer = projections.reduce((sum, operator) => sum + dense(operator), attention);
  const rows = decodes + (prompt > 0 ? 1 : 0);
  const head = model.perSequenceNs('lm_head', 1, rows) + model.perSequenceNs('sampler', 1, rows);
  const ends = dense('embedding') + dense('final_layernorm') + head;
  return 32 * (layer + 2 * dense('layernorm')) + ends;
}

/** Times, and how many times the limit they are. */
const found = readDevices().map((device) => {
  const { name, vendor, memory_bandwidth_gb_s: bytesPerNs, gemm_efficiency: efficiency } = device;
  const peakPerNs = device.peak_tflops.bf16 * 1e3;
  const model = modelOfTable(rooflineTable(device, shape, 'bf16', [1]));
  const decodeNs = stepNs(model, { prompt: 0, decodes: 1, context: 128 });
  const batchNs = stepNs(model, { prompt: 0, decodes: 128, context: 1024 });
  const promptNs = stepNs(model, { prompt: 4096, decodes: 0, context: 0 });
  // Causal attention: half of 4 operations per pair of tokens and element, on 32 layers of 4096.
  const promptFlops = 2 * weights * 4096 + 32 * 2 * 4096 ** 3;
  // K and V of 8 heads of 128 on 32 layers, 2 bytes.
  const kvBytes = 128 * 1024 * 2 * 8 * 128 * 32 * 2;
  const batchLimitNs = Math.max(
    (2 * weights + kvBytes) / bytesPerNs,
    (2 * weights * 128) / peakPerNs + kvBytes / bytesPerNs,
  );
  return {
    name,
    vendor,
    bytesPerNs,
    peakPerNs: peakPerNs * efficiency,
    decodeNs,
    promptNs,
    decode: decodeNs / ((2 * weights) / bytesPerNs),
    batch: batchNs / batchLimitNs,
    prompt: promptNs / (promptFlops / (peakPerNs * efficiency)),
  };
});

test.each(found)('$name: one token, a batch, a prompt', ({ vendor, decode, batch, prompt }) => {
  expect(decode).toBeGreaterThan(1);
  expect(decode).toBeLessThan(1.6);
  expect(batch).toBeGreaterThan(1);
  // Two or four large units of a TPU begin every decode one after another. Measured: 2.8 on a v6e.
  expect(batch).toBeLessThan(vendor === 'Google' ? 5.2 : 1.8);
  // Attention and elementwise kernels beside GEMMs; the 1 is a GEMM at its own efficiency.
  expect(prompt).toBeGreaterThan(0.93);
  expect(prompt).toBeLessThan(1.2);
});

test('a device with a fifth more of what decides is faster', () => {
  // Processing in memory: its arithmetic decides even for one token.
  const tiled = found.filter(({ name }) => name !== 'HBM-PIM');
  for (const a of tiled) {
    for (const b of tiled) {
      const names = `${a.name} beside ${b.name}`;
      if (a.bytesPerNs > 1.2 * b.bytesPerNs) expect(a.decodeNs, names).toBeLessThan(b.decodeNs);
      if (a.peakPerNs > 1.2 * b.peakPerNs) expect(a.promptNs, names).toBeLessThan(b.promptNs);
    }
  }
});
