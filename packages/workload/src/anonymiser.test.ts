// Goal: no token id survives, block sharing does.
import { describe, expect, it } from 'vitest';
import { Anonymiser } from './anonymiser.js';

describe('Anonymiser', () => {
  it('turns ids into a prefix tree in whole blocks', () => {
    const anonymiser = new Anonymiser(2);
    const base = { arrivalNs: 0, outputTokens: 1 };
    const one = anonymiser.apply({
      id: 'secret',
      ...base,
      promptTokens: 5,
      promptTokenIds: [1, 2, 3, 4, 5],
      outputTokenIds: [6],
      session: 'bob',
    });
    expect(one).toEqual({ id: 0, ...base, promptTokens: 5, session: 's0' });
    // Shares 1..6 (prompt and answer) and then differs inside the fourth block.
    const two = anonymiser.apply({
      id: 'x',
      ...base,
      promptTokens: 8,
      promptTokenIds: [1, 2, 3, 4, 5, 6, 7, 9],
      after: ['secret'],
    });
    expect(two).toEqual({
      id: 1,
      ...base,
      promptTokens: 8,
      after: [0],
      prefix: { of: 0, tokens: 6 },
    });
    const three = anonymiser.apply({ id: 'y', ...base, promptTokens: 2, promptTokenIds: [1, 3] });
    expect(three).toEqual({ id: 2, ...base, promptTokens: 2 });
  });
});
