/** What requests share is the same by their prefix tree as by their tokens. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { materialise } from './content.js';
import type { Request } from './request.js';
import { statistics } from './statistics.js';

const node = fc.record({
  prompt: fc.integer({ min: 1, max: 30 }),
  output: fc.integer({ min: 1, max: 9 }),
  parent: fc.nat(),
  share: fc.nat(),
});

test('shared prompt tokens by descent are those by tokens', () => {
  const property = fc.property(
    fc.array(node, { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 5 }),
    (nodes, blockTokens) => {
      const requests: Request[] = [];
      for (const [id, { prompt, output, parent, share }] of nodes.entries()) {
        const request: Request = { id, arrivalNs: id, promptTokens: prompt, outputTokens: output };
        const from = requests[parent % Math.max(1, id)];
        if (from !== undefined && share > 0) {
          const most = Math.min(prompt + output, from.promptTokens + from.outputTokens);
          request.prefix = { of: from.id, tokens: 1 + (share % most) };
        }
        requests.push(request);
      }
      const content = materialise(requests);
      const spelledOut = requests.map((request, index): Request => {
        const ids = content.sequence(index);
        if (ids === undefined) return request;
        const { promptTokens } = request;
        const promptTokenIds = [...ids.subarray(0, promptTokens)];
        return { ...request, promptTokenIds, outputTokenIds: [...ids.subarray(promptTokens)] };
      });
      expect(statistics(requests, blockTokens)).toEqual(statistics(spelledOut, blockTokens));
    },
  );
  fc.assert(property, { numRuns: 300 });
});
