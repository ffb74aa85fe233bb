/** Corrections of operators timed alone: each by hand, each switchable, none where engines were timed. */
import type { AttentionBatch, LatencyModel } from '@astrolabe/profile';
import { describe, expect, it } from 'vitest';
import { engineKernels } from './engine-kernels.js';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';

const on = { fusedElementwise: true, unpackedQueryHeads: true, weightFloor: true };
const off = { fusedElementwise: false, unpackedQueryHeads: false, weightFloor: false };
const timing = { launchNs: 2000, bandwidthGBps: 1000, packsQueryHeads: false };
const [plain] = exampleCluster([{}]).instances;
/** 4 query heads per KV head; norms move 4 x 1000 elements of 2 bytes a token. */
const model = {
  ...plain.model,
  hiddenSize: 1000,
  numHeads: 32,
  numKvHeads: 8,
  headDim: 128,
  slidingWindow: undefined,
  moe: undefined,
};
const instance = { ...plain, tp: 1, model };

function alone(changes: Partial<LatencyModel> = {}): LatencyModel {
  return { ...exampleLatency(fusedOperators), isolated: timing, ...changes };
}

function batch(prefills: number): AttentionBatch {
  return {
    prefillCount: prefills,
    prefillNewTokens: [10],
    prefillContextTokens: [0],
    decodeCount: 2,
    decodeContextSum: 300,
  };
}

describe('engineKernels', () => {
  it('leaves alone what was timed as engines run it', () => {
    const latency = exampleLatency(fusedOperators);
    expect(engineKernels(latency, instance, on)).toBe(latency);
    const apart = alone();
    expect(engineKernels(apart, instance, off)).toBe(apart);
  });

  it('caps elementwise operators at a launch and their traffic', () => {
    const slow = alone({ denseNs: () => 50_000 });
    const { denseNs } = bound(engineKernels(slow, instance, on));
    // 2000 ns + 16 tokens x 8000 bytes / 1000 bytes per ns
    expect(denseNs('layernorm', 1, 16)).toBe(2128);
    expect(
      bound(engineKernels(slow, instance, { ...on, fusedElementwise: false })).denseNs(
        'layernorm',
        1,
        16,
      ),
    ).toBe(50_000);
  });

  it('never lets a norm become slower', () => {
    const fast = alone({ denseNs: () => 100 });
    expect(engineKernels(fast, instance, on).denseNs('layernorm', 1, 16)).toBe(100);
  });

  it('reads the KV cache once per query head beside a chunk, not in pure decodes', () => {
    const corrected = engineKernels(alone(), instance, on);
    // The example takes 1 ns per token of context: 300 of decodes, 10 of the chunk.
    expect(corrected.attentionNs(1, batch(0))).toBe(300);
    expect(corrected.attentionNs(1, batch(1))).toBe(310 + 3 * 300);
  });

  it('reads it once per query head in every batch of a model with a window', () => {
    const windowed = { ...instance, model: { ...model, slidingWindow: 2047 } };
    expect(engineKernels(alone(), windowed, on).attentionNs(1, batch(0))).toBe(4 * 300);
  });

  it('exempts devices whose kernels pack in every batch', () => {
    const packing = alone({ isolated: { ...timing, packsQueryHeads: true } });
    expect(engineKernels(packing, instance, on).attentionNs(1, batch(1))).toBe(310);
  });

  it('takes at least the time of reading the weights', () => {
    const cached = alone({ denseNs: () => 5 });
    // 32 heads of 128 x 1000 outputs x 2 bytes / 1000 bytes per ns
    expect(engineKernels(cached, instance, on).denseNs('o_proj', 1, 1)).toBe(8192);
    expect(
      engineKernels(cached, instance, { ...on, weightFloor: false }).denseNs('o_proj', 1, 1),
    ).toBe(5);
  });
});

function bound(latency: LatencyModel): Pick<LatencyModel, 'denseNs'> {
  return { denseNs: (operator, tp, tokens) => latency.denseNs(operator, tp, tokens) };
}
