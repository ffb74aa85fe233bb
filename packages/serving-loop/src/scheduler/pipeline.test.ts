/** Several batches of one engine in flight, as pipeline stages have them: who samples what, and when. */
import { nsPerMs } from '@astrolabe/base';
import { resolveEngine } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { KvCacheManager } from '../kv/kv-cache-manager.js';
import { clusterOf, runFixed } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { RequestState } from '../request-state.js';
import type { Batch } from './batch.js';
import { Scheduler } from './scheduler.js';

const shape = (batch: Batch): string =>
  batch.requests
    .map((request, i) => `${request.index}:${batch.newTokens[i]}+${batch.contextTokens[i]}`)
    .join(' ');

function setup(numBlocks: number, maxNumBatchedTokens: number) {
  const kv = new KvCacheManager({ numBlocks, blockSize: 4, prefixCaching: false });
  const options = { ...resolveEngine('bfloat16'), blockSize: 4, maxNumBatchedTokens };
  return { kv, scheduler: new Scheduler(options, kv, false) };
}

const ignore = (): void => {};

describe('batches in flight', () => {
  it('only the chunk that ends the prompt gives a token, whatever else is in flight', () => {
    const { scheduler } = setup(100, 4);
    const request = new RequestState(0, 10, 3, 0);
    scheduler.add(request);
    const chunks = [scheduler.schedule(0), scheduler.schedule(0), scheduler.schedule(0)];
    expect(chunks.map(shape)).toEqual(['0:4+0', '0:4+4', '0:2+8']);
    expect(chunks.map(({ samples }) => samples)).toEqual([[false], [false], [true]]);
    scheduler.update(chunks[0], 10, ignore);
    scheduler.update(chunks[1], 20, ignore);
    expect([request.numOutputTokens, request.firstTokenNs]).toEqual([0, -1]);
    // The token is not known before its batch ends: nothing to compute until then.
    expect(scheduler.schedule(20).requests).toHaveLength(0);
    scheduler.update(chunks[2], 30, ignore);
    expect([request.numOutputTokens, request.firstTokenNs]).toEqual([1, 30]);
    expect(shape(scheduler.schedule(30))).toBe('0:1+10');
  });

  it('a request preempted with its token in flight waits for it, and computes it once', () => {
    // 5 usable blocks of 4: request 0 has 2, request 1 has 3, and both need one more.
    const { scheduler } = setup(6, 32);
    const first = new RequestState(0, 8, 4, 0);
    const second = new RequestState(1, 12, 3, 0);
    scheduler.add(first);
    const ofFirst = scheduler.schedule(0);
    scheduler.add(second);
    const ofSecond = scheduler.schedule(0);
    scheduler.update(ofFirst, 10, ignore);
    expect(shape(scheduler.schedule(10))).toBe('0:1+8');
    expect([second.preemptions, second.numComputedTokens]).toEqual([1, 0]);
    // Its own batch still runs: admitted now, it would sample the same position again.
    expect(scheduler.schedule(10).requests).toHaveLength(0);
    scheduler.update(ofSecond, 12, ignore);
    expect(second.numOutputTokens).toBe(1);
    expect(scheduler.waiting).toEqual([second]);
  });
});

describe('two stages on a machine of 10 ms steps', () => {
  it('the first token of a prompt in three chunks comes with the third', async () => {
    // The machine runs the steps of an instance one after another, like a first stage.
    const run = await runFixed({
      cluster: clusterOf([{ pp_size: 2, max_num_batched_tokens: 4, block_size: 4 }]),
      requests: [{ id: 0, arrivalNs: 0, promptTokens: 10, outputTokens: 2 }],
    });
    const [row] = requestResults(run);
    expect(row).toMatchObject({ firstTokenNs: 30 * nsPerMs, finishNs: 40 * nsPerMs });
  });
});
