/** What blocks hold on engines of other block sizes, asked in any order. */
import type { Request } from '@astrolabe/workload';
import { expect, it } from 'vitest';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { RequestContents } from './request-contents.js';

it('a request has the ids of the engine that was named last', async () => {
  const cluster = clusterOf([{ block_size: 4 }, { block_size: 8 }, { block_size: 4 }]);
  const requests: Request[] = [
    {
      id: 0,
      arrivalNs: 0,
      promptTokens: 16,
      outputTokens: 8,
      promptTokenIds: [...Array(16).keys()],
    },
    { id: 1, arrivalNs: 0, promptTokens: 9, outputTokens: 1, promptTokenIds: [...Array(9).keys()] },
  ];
  const run = await runFixed({ cluster, requests });
  const contents = new RequestContents({ cluster, requests });
  const [first, second] = run.states;
  const [four, eight, alsoFour] = run.engines;
  contents.identify(first, four);
  const inFours = first.blockContents;
  expect(inFours).toHaveLength(6);
  contents.identify(first, alsoFour);
  expect(first.blockContents).toBe(inFours);
  contents.identify(first, eight);
  expect(first.blockContents).toHaveLength(3);
  contents.identify(first, four);
  expect(first.blockContents).toEqual(inFours);
  contents.identify(second, four);
  // Two full blocks of ten tokens, both as the first request's.
  expect(second.blockContents).toEqual(inFours?.slice(0, 2));
});
