/** Bytes of operators by hand, hidden 64, intermediate 128, four heads of 16, bf16; and their sum. */
import { weightBytes } from '@astrolabe/config';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { exampleCluster } from './example-cluster.test-helper.js';
import { fusedOperators } from './example-latency.test-helper.js';
import { operatorTraffic } from './operator-traffic.js';

function trafficOf(model: object, instance: object = {}) {
  return operatorTraffic(exampleCluster([instance], model).instances[0]);
}

function batch(prefills: readonly [number, number][], decodes: readonly number[]) {
  return {
    prefillCount: prefills.length,
    prefillNewTokens: prefills.map(([added]) => added),
    prefillContextTokens: prefills.map(([, context]) => context),
    decodeCount: decodes.length,
    decodeContextSum: decodes.reduce((sum, context) => sum + context, 0),
  };
}

describe('operatorTraffic', () => {
  it.each([
    ['qkv_proj', 1, 3, 64 * 192 * 2 + 3 * (64 + 192) * 2],
    ['qkv_proj', 2, 3, 64 * 96 * 2 + 3 * (64 + 96) * 2],
    ['gate_up_proj', 1, 3, 64 * 256 * 2 + 3 * (64 + 256) * 2],
    ['act_fn', 1, 3, 3 * 3 * 128 * 2],
    ['layernorm', 1, 1, 64 * 2 + 4 * 64 * 2],
    ['lm_head', 1, 2, 64 * 100 * 2 + 2 * 164 * 2],
    ['embedding', 1, 5, 5 * 2 * 64 * 2],
  ])('%s at TP %i on %i rows', (operator, tp, rows, bytes) => {
    expect(trafficOf(tinyModel).bytes(operator, tp, rows)).toBe(bytes);
  });

  it('attention reads the KV of every context once, within the window', () => {
    const kvBytes = 2 * 64 * 2;
    const queryBytes = 2 * 64 * 2;
    const both = batch([[5, 7]], [10, 20]);
    expect(trafficOf(tinyModel).attentionBytes(1, both)).toBe(
      (12 + 11 + 21) * kvBytes + 7 * queryBytes,
    );
    const windowed = trafficOf({ ...tinyModel, sliding_window: 8, model_type: 'mistral' });
    expect(windowed.attentionBytes(1, both)).toBe((12 + 2 * 8) * kvBytes + 7 * queryBytes);
    expect(windowed.attentionBytes(1, batch([[5, 7]], []))).toBe(12 * kvBytes + 5 * queryBytes);
  });

  it('experts read the weights of those that are active', () => {
    const traffic = trafficOf(tinyExperts);
    const one = 3 * 64 * 128 * 2;
    expect(traffic.moeBytes(4, 6) - traffic.moeBytes(4, 5)).toBe(one);
    expect(traffic.bytes('expert.w1', 1, 0)).toBe(one / 3);
    expect(trafficOf(tinyModel).moeBytes(4, 1)).toBe(0);
  });

  it('weights of all operators are those of the model', () => {
    const traffic = trafficOf(tinyModel);
    const cluster = exampleCluster();
    const { model } = cluster.instances[0];
    const weights = (operators: readonly string[]): number =>
      operators.reduce((sum, operator) => sum + traffic.bytes(operator, 1, 0), 0);
    const head = ['final_layernorm', 'lm_head'];
    const latent = ['qkv_a_proj', 'latent_norm', 'q_b_proj', 'kv_b_proj', 'qk_norm', 'moe'];
    const block = fusedOperators.filter((name) => ![...head, ...latent].includes(name));
    const all = weightBytes(model, { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16');
    // The second norm of a layer; the embedding's table is not read but for its rows.
    expect(2 * (weights(block) + 64 * 2) + weights(head) + 100 * 64 * 2).toBe(all);
  });
});
