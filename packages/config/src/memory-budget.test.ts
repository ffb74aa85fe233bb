/** The KV budget against one measured vLLM 0.19 run, and its refusals. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadCluster } from './cli/load-cluster.js';
import { memoryBudget, mostBlocks } from './memory-budget.js';
import { parseModel } from './model.js';
import { tinyExperts } from './tiny-model.js';

const config = (name: string): string =>
  fileURLToPath(new URL(`../../../cluster_config/${name}`, import.meta.url));

describe('memoryBudget', () => {
  it('predicts the 2588 blocks measured on an RTX 4090 (vLLM 0.19, Llama-3.1-8B, util 0.9)', () => {
    const [instance] = loadCluster(config('rtx4090.json')).instances;
    const budget = memoryBudget(instance);
    expect(budget.requestedBytes).toBe(22725564825);
    expect(budget.weightBytes).toBe(16094076928);
    expect(budget.blockBytes).toBe(2097152);
    expect(budget.numBlocks).toBe(2588);
  });

  it('fewer sequences leave more room for KV', () => {
    const flags = { max_num_seqs: 128 };
    const [instance] = loadCluster(config('rtx4090.json'), { flags }).instances;
    expect(memoryBudget(instance).numBlocks).toBe(2870);
  });

  it('experts in the forward pass: up and gate or the output, whichever is wider, and between them', () => {
    const peak = (hidden: number): number => {
      const model = { ...tinyExperts, hidden_size: hidden, head_dim: 16 };
      const flags = { max_num_batched_tokens: 1000, max_num_seqs: 1 };
      const [instance] = loadCluster(config('rtxpro6000.json'), { flags }).instances;
      return memoryBudget({ ...instance, model: parseModel('experts', model, 'x') })
        .activationBytes;
    };
    // 1000 tokens x 2 experts of 128 inside; bf16; two hidden states beside.
    expect(peak(64)).toBe((1000 * 2 * (256 + 128) + 2 * 1000 * 64) * 2);
    expect(peak(512)).toBe((1000 * 2 * (512 + 128) + 2 * 1000 * 512) * 2);
  });

  it.each([1, mostBlocks + 1, Number.MAX_SAFE_INTEGER])('refuses %d blocks', (kv_blocks) => {
    const [instance] = loadCluster(config('rtx4090.json'), { flags: { kv_blocks } }).instances;
    expect(() => memoryBudget(instance)).toThrow(`${kv_blocks} KV blocks, expected 2`);
  });

  it('every stage has the memory of its devices', () => {
    const [instance] = loadCluster(config('rtxpro6000.json')).instances;
    const piped = { ...instance, pp: 2, npus: [0, 1], stageHardware: ['Big', 'Small'] };
    const gib = (size: number) => ({ ...instance.memory, sizeBytes: size * 2 ** 30 });
    const blocks = (first: number, second: number): number =>
      memoryBudget({ ...piped, stageMemory: [gib(first), gib(second)] }).numBlocks;
    const alike = memoryBudget({ ...piped, memory: gib(24) });
    expect(blocks(80, 24)).toBe(alike.numBlocks);
    expect(alike.stage).toBe(1);
    // The first stage has no sampler: with the smaller memory it still decides.
    const first = memoryBudget({ ...piped, stageMemory: [gib(24), gib(80)] });
    expect(first.stage).toBe(0);
    expect(first.numBlocks).toBeGreaterThan(alike.numBlocks);
    expect(() => blocks(80, 4)).toThrow('Llama-3.1-8B does not fit on Small');
    const engine = { ...instance.engine, kvBlocks: 100 };
    const stageMemory = [gib(80), gib(4)];
    expect(() => memoryBudget({ ...piped, engine, stageMemory })).toThrow('does not fit on Small');
  });

  it('refuses a model larger than the memory', () => {
    const options = { deviceMemoryBytes: 8e9 };
    const [instance] = loadCluster(config('rtx4090.json'), options).instances;
    expect(() => memoryBudget(instance)).toThrow(/Llama-3.1-8B does not fit on RTX4090/);
  });
});
