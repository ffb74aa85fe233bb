/** Families beyond the plain block, against the published numbers of parameters. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isMoeLayer, kvBytesPerToken, kvBytesPerTokenPerLayer, parseModel } from './index.js';
import { weightBytes } from './model-size.js';

const folder = fileURLToPath(new URL('../../../cluster_config/models', import.meta.url));

function shipped(name: string) {
  const path = `${folder}/${name}.json`;
  return parseModel(name, JSON.parse(readFileSync(path, 'utf8')), path);
}

function billions(name: string): number {
  const elements = weightBytes(shipped(name), { tp: 1, pp: 1, ep: 1 }, 0, 'bfloat16') / 2;
  return elements / 1e9;
}

describe('parameters', () => {
  it.each([
    ['meta-llama/Llama-3.1-8B', 8.03],
    ['meta-llama/Llama-3.1-70B', 70.55],
    ['Qwen/Qwen3-30B-A3B-Instruct-2507', 30.53],
    ['mistralai/Mixtral-8x7B-v0.1', 46.7],
    ['deepseek-ai/DeepSeek-V2-Lite', 15.71],
    ['meta-llama/Llama-4-Scout-17B-16E', 107.77],
  ])('of %s are %d billion', (name, expected) => {
    expect(Math.abs(billions(name) / expected - 1)).toBeLessThan(0.002);
  });
});

describe('DeepSeek', () => {
  const model = shipped('deepseek-ai/DeepSeek-V2-Lite');

  it('starts with a dense layer and shares two experts', () => {
    expect([0, 1, 26].map((layer) => isMoeLayer(model, layer))).toEqual([false, true, true]);
    expect(model.moe?.sharedIntermediateSize).toBe(2 * 1408);
  });

  it('keeps 512 + 64 elements of a token and layer, the same on every rank', () => {
    expect(kvBytesPerTokenPerLayer(model, 1, 'bfloat16')).toBe(1152);
    expect(kvBytesPerTokenPerLayer(model, 4, 'bfloat16')).toBe(1152);
    expect(kvBytesPerToken(model, 'bfloat16')).toBe(27 * 1152);
  });

  it('needs all dimensions of the latent', () => {
    const hf = JSON.parse(readFileSync(`${folder}/deepseek-ai/DeepSeek-V2-Lite.json`, 'utf8'));
    expect(() => parseModel('x', { ...hf, v_head_dim: null }, 'x.json')).toThrow(
      'x.json: v_head_dim is missing',
    );
  });
});

describe('sparse steps', () => {
  const base = {
    model_type: 'qwen3_moe',
    hidden_size: 64,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    intermediate_size: 128,
    vocab_size: 100,
    max_position_embeddings: 512,
    num_experts: 8,
  };

  it('put experts in every second layer, but not where told', () => {
    const model = parseModel('x', { ...base, decoder_sparse_step: 2, mlp_only_layers: [3] }, 'x');
    const layers = [0, 1, 2, 3, 4, 5].filter((layer) => isMoeLayer(model, layer));
    expect(layers).toEqual([1, 5]);
  });

  it('read the decoder of a multimodal checkpoint', () => {
    const nested = { model_type: 'llama4', text_config: { ...base, model_type: 'llama4_text' } };
    const model = parseModel('x', { ...nested, vision_config: {} }, 'x');
    expect(model.family).toBe('llama4_text');
    expect(model.moe?.sharedIntermediateSize).toBe(128);
  });
});
