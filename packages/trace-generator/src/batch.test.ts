/** What an iteration is to operators: decodes, chunks, rows; by hand. */
import { describe, expect, it } from 'vitest';
import { Batch } from './batch.js';
import type { Iteration } from './iteration.js';

function iteration(...requests: [newTokens: number, contextTokens: number][]): Iteration {
  return {
    instance: 0,
    iteration: 0,
    releaseNs: 0,
    requests: requests.map((_, i) => i),
    newTokens: requests.map(([added]) => added),
    contextTokens: requests.map(([, context]) => context),
  };
}

describe('Batch', () => {
  it('one token behind a context is a decode; a prompt of one token is a chunk', () => {
    const batch = new Batch();
    batch.read(iteration([1, 30], [1, 0], [5, 7], [1, 10]));
    expect(batch.decodeCount).toBe(2);
    expect([batch.decodeContextSum, batch.decodeContextLongest]).toEqual([40, 30]);
    expect(batch.prefillCount).toBe(2);
    expect([...batch.prefillNewTokens.slice(0, 2)]).toEqual([1, 5]);
    expect([...batch.prefillContextTokens.slice(0, 2)]).toEqual([0, 7]);
    expect([batch.tokens, batch.sequences, batch.prefillTokens]).toEqual([8, 4, 6]);
  });

  it('keeps nothing of the iteration before, and grows', () => {
    const batch = new Batch();
    batch.read(iteration(...Array.from({ length: 200 }, (_, i): [number, number] => [1, i + 1])));
    expect([batch.decodeCount, batch.decodeContextSum]).toEqual([200, 20_100]);
    expect(batch.decodeContexts?.[199]).toBe(200);
    batch.read(iteration([3, 0]));
    expect([batch.decodeCount, batch.decodeContextLongest, batch.prefillCount]).toEqual([0, 0, 1]);
  });

  it('parts take turns over the requests; one without any has a dummy token', () => {
    const batch = new Batch();
    const three = iteration([4, 0], [1, 9], [6, 0]);
    batch.read(three, 0, 2);
    expect([batch.tokens, batch.sequences]).toEqual([10, 2]);
    batch.read(three, 1, 2);
    expect([batch.tokens, batch.decodeCount]).toEqual([1, 1]);
    batch.read(iteration(), 0, 1);
    expect([batch.tokens, batch.sequences]).toEqual([1, 1]);
  });
});
