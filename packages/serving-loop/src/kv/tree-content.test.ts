/** Block ids by descent are the ids by tokens, whoever is asked for first and again. */
import { materialise, type PrefixTree, type Request } from '@astrolabe/workload';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockContents } from './block-content.js';
import { TreeContents } from './tree-content.js';

const node = fc.record({
  prompt: fc.integer({ min: 1, max: 30 }),
  output: fc.integer({ min: 1, max: 9 }),
  parent: fc.nat(),
  share: fc.nat(),
});

function requestsOf(nodes: readonly { [K in 'prompt' | 'output' | 'parent' | 'share']: number }[]) {
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
  return requests;
}

describe('TreeContents', () => {
  it('equals the ids by tokens on random trees', () => {
    const property = fc.property(
      fc.array(node, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
      (nodes, asked, blockSize) => {
        const requests = requestsOf(nodes);
        const content = materialise(requests, { all: true });
        const byTokens = new BlockContents(blockSize);
        const byDescent = new TreeContents(
          blockSize,
          content.tree as PrefixTree,
          (index) => requests[index].promptTokens + requests[index].outputTokens,
        );
        for (const at of asked) {
          const index = at % requests.length;
          const expected = byTokens.ofSequence(content.sequence(index) as Int32Array);
          expect(byDescent.ofRequest(index)).toEqual(expected);
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it('is not for content that requests give', () => {
    const request = { id: 0, arrivalNs: 0, promptTokens: 1, outputTokens: 1 };
    expect(materialise([{ ...request, promptTokenIds: [7] }]).tree).toBeUndefined();
    expect(materialise([{ ...request, outputTokenIds: [7] }]).tree).toBeUndefined();
  });
});
