/** Bytes of KV by model, type and parallel degrees, and blocks that follow from them. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadCluster } from './cli/load-cluster.js';
import { memoryBudget } from './memory-budget.js';
import { parseModel } from './model.js';
import { kvBytesPerTokenPerLayer } from './model-size.js';
import { resolveCluster } from './resolve-cluster.js';
import type { Cluster } from './resolved-cluster.js';
import { tinyModel } from './tiny-model.js';

const config = fileURLToPath(new URL('../../../cluster_config/rtxpro6000.json', import.meta.url));

function instanceOf(change: Partial<Cluster['instances'][number]> = {}) {
  const [instance] = loadCluster(config).instances;
  return { ...instance, ...change };
}

describe('KV sizes', () => {
  const plain = instanceOf();
  const { model } = plain;

  it('FP8 halves a block, so the same bytes hold twice the blocks', () => {
    const fp8 = instanceOf({ engine: { ...plain.engine, kvCacheDtype: 'fp8' } });
    const [full, half] = [memoryBudget(plain), memoryBudget(fp8)];
    expect(full.blockBytes).toBe(16 * 32 * 2 * 8 * 128 * 2);
    expect(half.blockBytes).toBe(full.blockBytes / 2);
    expect(half.numBlocks).toBe(Math.floor(full.kvBytes / half.blockBytes));
  });

  it('divides KV heads over ranks, and replicates them when there are fewer', () => {
    const bytes = (tp: number): number => kvBytesPerTokenPerLayer(model, tp, 'bfloat16');
    expect([1, 2, 8, 16].map(bytes)).toEqual([4096, 2048, 512, 512]);
  });

  it('a latent row is the same on every rank, whatever the degree', () => {
    const mla = { queryRank: undefined, kvRank: 512, nopeDim: 128, ropeDim: 64, valueDim: 128 };
    const latent = { ...model, mla };
    expect(kvBytesPerTokenPerLayer(latent, 1, 'bfloat16')).toBe(576 * 2);
    expect(kvBytesPerTokenPerLayer(latent, 8, 'bfloat16')).toBe(576 * 2);
  });

  it('layers with a window are groups of their own, but where KV moves', () => {
    const windows = {
      ...tinyModel,
      model_type: 'gemma2',
      num_hidden_layers: 4,
      sliding_window: 128,
    };
    const blockBytes = (change: object, file: object = {}): number => {
      const entry = { model_name: 'x', hardware: 'x', npu_mem: { mem_size: 24, mem_bw: 1 } };
      const memory = { mem_size: 1, mem_bw: 1 };
      const nodes = [{ cpu_mem: memory, instances: [{ ...entry, ...change }] }];
      const cluster = resolveCluster({ link_bw: 1, link_latency: 0, nodes, ...file }, 'x', {
        findModel: (name) => parseModel(name, windows, 'x'),
      });
      return memoryBudget(cluster.instances[0]).blockBytes;
    };
    const layer = 16 * 2 * 4 * 16 * 2;
    expect(blockBytes({})).toBe(2 * layer);
    expect(blockBytes({ pd_type: 'decode' })).toBe(4 * layer);
    expect(blockBytes({}, { kv_tiers: [{ tier: 'host' }] })).toBe(4 * layer);
    expect(blockBytes({}, { kv_tiers: [] })).toBe(2 * layer);
    // A stage's layers, whole.
    expect(blockBytes({ pp_size: 2 })).toBe(2 * layer);
    expect(blockBytes({ pp_size: 4 })).toBe(layer);
  });

  it('the stage with most layers decides in an uneven pipeline', () => {
    const three = instanceOf({ pp: 3, npus: [0, 1, 2] });
    // 32 layers on three stages: 10, 11, 11; the last has the head and the sampler as well.
    expect(memoryBudget(three).blockBytes).toBe(11 * 16 * 2 * 8 * 128 * 2);
  });

  it('leaves room on every card for what vLLM takes beside KV', () => {
    for (const gib of [24, 48, 80, 96, 141]) {
      const memory = { ...plain.memory, sizeBytes: gib * 2 ** 30 };
      const budget = memoryBudget(instanceOf({ memory }));
      const parts = budget.weightBytes + budget.activationBytes + budget.nonTorchBytes;
      expect(budget.kvBytes).toBe(Math.floor(0.9 * gib * 2 ** 30) - parts);
      expect(budget.numBlocks).toBe(Math.floor(budget.kvBytes / budget.blockBytes));
    }
  });
});
