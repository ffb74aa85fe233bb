/** Goal: the equivalent chunk keeps the work. Method: properties over seeded batches. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectiveChunk, equivalentChunk } from './attention-work.js';

const chunk = { newTokens: 0, contextTokens: 0 };
const request = fc.tuple(fc.integer({ min: 1, max: 4096 }), fc.integer({ min: 0, max: 20_000 }));

function totals(requests: readonly (readonly [number, number])[]): [number, number] {
  let tokens = 0;
  let pairs = 0;
  for (const [q, c] of requests) {
    tokens += q;
    pairs += q * (c + q / 2);
  }
  return [tokens, pairs];
}

test('pairs are kept, tokens never grow, one chunk maps to itself', () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 20 }), (requests) => {
      const [tokens, pairs] = totals(requests);
      equivalentChunk(tokens, pairs, 2048, chunk);
      const { newTokens, contextTokens } = chunk;
      expect((newTokens * (contextTokens + newTokens / 2)) / pairs).toBeCloseTo(1, 9);
      expect(newTokens).toBeLessThanOrEqual(Math.min(tokens, 2048) + 1e-6);
      expect(contextTokens).toBeGreaterThanOrEqual(0);
      if (requests.length === 1 && tokens <= 2048) {
        expect(newTokens).toBeCloseTo(requests[0][0], 6);
        expect(contextTokens).toBeCloseTo(requests[0][1], 6);
      }
    }),
    { seed: 7 },
  );
});

test('a chunk shorter than the smallest measured one costs that, each for itself', () => {
  const batch = {
    prefillCount: 2,
    prefillNewTokens: Float64Array.of(3, 40),
    prefillContextTokens: Float64Array.of(100, 0),
    decodeCount: 0,
    decodeContextSum: 0,
  };
  effectiveChunk(batch, 16, 2048, chunk);
  const [tokens, pairs] = totals([
    [16, 100],
    [40, 0],
  ]);
  expect(chunk.newTokens).toBe(tokens);
  expect(chunk.contextTokens).toBeCloseTo(pairs / tokens - tokens / 2, 9);
});
