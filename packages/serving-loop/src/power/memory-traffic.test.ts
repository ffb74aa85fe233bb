/** Bytes of a step of the tiny model, counted by hand: bf16, 2 layers, 4 heads of 16. */
import { parseModel, resolveCluster } from '@astrolabe/config';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import { describe, expect, it } from 'vitest';
import { deviceTraffic } from './memory-traffic.js';

function bytesOf(
  model: object,
  newTokens: number[],
  contextTokens: number[],
  waveTokens?: number[],
): number {
  const instance = { model_name: 'x', hardware: 'X', npu_mem: { mem_size: 24, mem_bw: 1000 } };
  const nodes = [{ cpu_mem: { mem_size: 1, mem_bw: 1 }, instances: [instance] }];
  const cluster = resolveCluster({ link_bw: 1, link_latency: 0, nodes }, 'x', {
    findModel: (name) => parseModel(name, { ...tinyModel, ...model }, 'x'),
  });
  const requests = newTokens.map((_, i) => i);
  const step = { requests, newTokens, contextTokens };
  const traffic = deviceTraffic(cluster.instances[0]);
  return traffic(waveTokens === undefined ? step : { ...step, waveTokens })[0];
}

const vocabulary = 100 * 64;
const attention = 4 * 64 * 64;
/** Two layers of norms, attention, three matrices; last norm and head. */
const weights = 2 * (2 * (2 * 64 + attention + 3 * 64 * 128) + 64 + vocabulary);
/** K and V of a token on one layer. */
const kv = 2 * 64 * 2;
const activations = (tokens: number, inner = 128): number =>
  tokens * 2 * 2 * (4 * 64 + 4 * 64 + 4 * 64 + 2 * 64 + 2 * 64 + (2 * 64 + 6 * inner));

describe('bytes of a step', () => {
  it('weights without the embedding table, KV read and written, activations', () => {
    // A decode at 1000: reads 1001 tokens of KV on both layers, writes one.
    expect(bytesOf({}, [1], [1000])).toBe(weights + 2 * (1001 + 1) * kv + activations(1));
    const tied = bytesOf({ tie_word_embeddings: true }, [1], [1000]);
    expect(tied).toBe(bytesOf({}, [1], [1000]));
  });

  it('a window bounds the KV read, of the layers that have it', () => {
    const full = bytesOf({}, [1], [1000]);
    expect(full - bytesOf({ sliding_window: 101 }, [1], [1000])).toBe(2 * 900 * kv);
    const gemma = { model_type: 'gemma2', tie_word_embeddings: false };
    const wide = bytesOf({ ...gemma, sliding_window: 4096 }, [1], [1000]);
    expect(wide - bytesOf({ ...gemma, sliding_window: 101 }, [1], [1000])).toBe(900 * kv);
  });

  it('of experts those hit, in layers that have some, by the tokens of all ranks', () => {
    const expert = 3 * 64 * 128 * 2;
    const one = bytesOf(tinyExperts, [1], [1000]);
    // One token reaches two of eight experts; the whole group's two tokens 8 (1 - (3/4)^2).
    const shared = bytesOf(tinyExperts, [1], [1000], [1, 1]);
    expect(shared - one).toBeCloseTo(2 * (8 * (1 - 0.75 ** 2) - 2) * expert, 3);
    const sparse = { ...tinyExperts, model_type: 'qwen3_moe', num_experts: 8 };
    const step = (denseLayers: number[]): number =>
      bytesOf({ ...sparse, mlp_only_layers: denseLayers }, [1], [1000]);
    // A dense block of 128 is an expert's size; instead of two experts and the gate.
    expect(step([]) - step([0])).toBeCloseTo(2 * expert + 64 * 8 * 2 - expert, 3);
  });
});
