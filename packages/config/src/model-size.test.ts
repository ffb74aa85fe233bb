/** Weights of the tiny model, counted by hand. */
import { describe, expect, it } from 'vitest';
import { parseModel } from './model.js';
import { kvBytesPerTokenPerLayer, pipelineLayers, weightBytes } from './model-size.js';
import { tinyModel } from './tiny-model.js';

const one = { tp: 1, pp: 1, ep: 1 };
/** Norms; Q, K, V and O of 64 x 64; gate, up and down of 64 x 128. */
const block = 2 * 64 + 4 * 64 * 64 + 3 * 64 * 128;
const vocabulary = 100 * 64;

describe('weightBytes', () => {
  const model = (extra: object = {}) => parseModel('tiny', { ...tinyModel, ...extra }, 'test');

  it('counts blocks, embedding, last norm and head', () => {
    expect(weightBytes(model(), one, 0, 'bfloat16')).toBe(2 * (2 * block + 2 * vocabulary + 64));
  });

  it('a tied head is the embedding where both are on one stage', () => {
    const tied = model({ tie_word_embeddings: true });
    expect(weightBytes(tied, one, 0, 'bfloat16')).toBe(2 * (2 * block + vocabulary + 64));
    const two = { ...one, pp: 2 };
    expect(weightBytes(tied, two, 0, 'bfloat16')).toBe(2 * (block + vocabulary));
    expect(weightBytes(tied, two, 1, 'bfloat16')).toBe(2 * (block + vocabulary + 64));
  });

  it('divides projections, not norms; a rank has a KV head of its own at least', () => {
    const shared = model({ num_key_value_heads: 2 });
    const perRank = 2 * 64 + (64 * 16 + 2 * 64 * 16 + 16 * 64) + (3 * 64 * 128) / 4;
    const bytes = 2 * (2 * perRank + 2 * 25 * 64 + 64);
    expect(weightBytes(shared, { ...one, tp: 4 }, 0, 'bfloat16')).toBe(bytes);
    expect(kvBytesPerTokenPerLayer(shared, 4, 'fp8')).toBe(2 * 16);
    expect(kvBytesPerTokenPerLayer(shared, 1, 'bfloat16')).toBe(2 * 2 * 16 * 2);
  });
});

describe('pipelineLayers', () => {
  it('gives what is left over to the middle, from the last but one backwards', () => {
    expect(pipelineLayers(7, 3)).toEqual([2, 3, 2]);
    expect(pipelineLayers(8, 3)).toEqual([3, 3, 2]);
    expect(pipelineLayers(6, 3)).toEqual([2, 2, 2]);
    expect(pipelineLayers(3, 2)).toEqual([2, 1]);
  });
});
