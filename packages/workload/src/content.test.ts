// Goal: prefix trees resolve to the ids a tokenizer would have shared. Sequences written by hand.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { materialise } from './content.js';
import type { Request } from './request.js';

const base = { arrivalNs: 0, promptTokens: 3, outputTokens: 2 };

describe('materialise', () => {
  it('gives requests without content nothing', () => {
    const content = materialise([{ id: 0, ...base }]);
    expect(content.has(0)).toBe(false);
    expect(content.sequence(0)).toBeUndefined();
  });

  it('copies from prompt and output of the parent, fresh ids after', () => {
    const content = materialise([
      { id: 'a', ...base },
      { id: 'b', ...base, promptTokens: 5, prefix: { of: 'a', tokens: 4 } },
      { id: 'c', ...base, prefix: { of: 'b', tokens: 5 } },
    ]);
    expect([...(content.sequence(0) ?? [])]).toEqual([-1, -2, -3, -4, -5]);
    // b: 4 ids of a, then its own: positions 4..6 of the 7 ids reserved from -6.
    expect([...(content.sequence(1) ?? [])]).toEqual([-1, -2, -3, -4, -10, -11, -12]);
    expect([...(content.sequence(2) ?? [])]).toEqual([-1, -2, -3, -4, -10]);
  });

  it('refuses to spell out what no model reads', () => {
    const content = materialise([{ id: 7, ...base, outputTokens: 2 ** 24 }], { all: true });
    expect(content.has(0)).toBe(true);
    expect(() => content.sequence(0)).toThrow(
      'request 7: content of 16777219 tokens, expected at most 16777216',
    );
  });

  it('knows who shares what, however many tokens there are; spells out 2^31 of them', () => {
    const long = { ...base, promptTokens: 2 ** 23 };
    const requests: Request[] = Array.from({ length: 300 }, (_, id) => ({ id, ...long }));
    const content = materialise(requests, { all: true });
    expect(content.tree?.parentOf(299)).toBe(-1);
    expect(() => content.sequence(0)).toThrow('2516583000 tokens, more than 2^31');
    const given = { ...requests[0], promptTokenIds: [] };
    expect(() => materialise([given, ...requests], { all: true })).toThrow('more than 2^31');
  });

  it('lets given ids win over the tree, per part', () => {
    const content = materialise([
      { id: 0, ...base, promptTokenIds: [7, 8, 9] },
      { id: 1, ...base, prefix: { of: 0, tokens: 5 }, outputTokenIds: [1, 2] },
      { id: 2, ...base, prefix: { of: 1, tokens: 4 } },
    ]);
    expect([...(content.sequence(0) ?? [])]).toEqual([7, 8, 9, -4, -5]);
    expect([...(content.sequence(1) ?? [])]).toEqual([7, 8, 9, 1, 2]);
    expect([...(content.sequence(2) ?? [])]).toEqual([7, 8, 9, 1, -15]);
  });

  it('gives every request content when asked', () => {
    const content = materialise([{ id: 0, ...base }], { all: true });
    expect([...(content.sequence(0) ?? [])]).toEqual([-1, -2, -3, -4, -5]);
  });

  it('equals the plain definition on random trees', () => {
    const node = fc.record({
      prompt: fc.integer({ min: 1, max: 9 }),
      output: fc.integer({ min: 1, max: 9 }),
      parent: fc.nat(),
      share: fc.nat(),
      prompted: fc.boolean(),
      answered: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 12 }), (nodes) => {
        const requests: Request[] = [];
        for (const [index, n] of nodes.entries()) {
          const request: Request = {
            id: index,
            arrivalNs: index,
            promptTokens: n.prompt,
            outputTokens: n.output,
          };
          const parent = requests[n.parent % Math.max(1, index)];
          if (parent !== undefined && n.share > 0) {
            const limit = Math.min(n.prompt + n.output, parent.promptTokens + parent.outputTokens);
            request.prefix = { of: parent.id, tokens: 1 + (n.share % limit) };
          }
          if (n.prompted) request.promptTokenIds = Array(n.prompt).fill(100 + index);
          if (n.answered) request.outputTokenIds = Array(n.output).fill(200 + index);
          requests.push(request);
        }
        const content = materialise(requests, { all: true });
        // Store everything, copy from the stored parent.
        const stored: number[][] = [];
        for (const [index, request] of requests.entries()) {
          const actual = [...(content.sequence(index) ?? [])];
          const shared = request.prefix?.tokens ?? 0;
          const expected = actual.map((id, p) => {
            const own =
              p < request.promptTokens
                ? request.promptTokenIds?.[p]
                : request.outputTokenIds?.[p - request.promptTokens];
            if (own !== undefined) return own;
            return p < shared ? stored[Number(request.prefix?.of)][p] : Math.min(id, -1);
          });
          stored.push(actual);
          expect(actual).toEqual(expected);
        }
        const fresh = stored.flatMap((ids, index) =>
          ids.filter((id, p) => id < 0 && p >= (requests[index].prefix?.tokens ?? 0)),
        );
        expect(new Set(fresh).size).toBe(fresh.length);
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});
