/** Requests that could wait for ever are refused, those that just fit are served. */
import { describe, expect, it } from 'vitest';
import { clusterOf, runFixed } from './machine.test-helper.js';
import { unservable } from './unservable.js';

const serve = (kvBlocks: number, extra: object = {}, promptTokens = 56) =>
  runFixed({
    cluster: clusterOf([{ kv_blocks: kvBlocks, block_size: 4, ...extra }]),
    requests: [{ id: 0, arrivalNs: 0, promptTokens, outputTokens: 12 }],
  });

describe('admission', () => {
  it('68 tokens fit in 17 blocks and the null block', async () => {
    expect((await serve(18)).states[0].numOutputTokens).toBe(12);
    await expect(serve(17)).rejects.toThrow('needs 17 KV blocks, instance0 has 16');
  });

  it('so do 69: the last token is never computed on', async () => {
    expect((await serve(18, {}, 57)).states[0].numOutputTokens).toBe(12);
    await expect(serve(18, {}, 58)).rejects.toThrow('needs 18 KV blocks, instance0 has 17');
  });

  it('a request as long as the context is served, a token more is not', async () => {
    const context = { max_model_len: 68 };
    expect((await serve(40, context)).states[0].numOutputTokens).toBe(12);
    await expect(serve(40, context, 57)).rejects.toThrow(
      'prompt 57 + output 12 tokens exceed the context of 68 tokens',
    );
  });

  it('a model that nobody serves: the message says which are served', async () => {
    const request = { id: 0, arrivalNs: 0, promptTokens: 8, outputTokens: 2, model: 'other' };
    const run = runFixed({ cluster: clusterOf([{}]), requests: [request] });
    await expect(run).rejects.toMatchObject({
      message: 'request 0: no instance serves model "other"',
      hint: 'served: example; requests that name no model go to any',
    });
    const decode = clusterOf([{ pd_type: 'decode' }]);
    const known = { ...request, model: 'example' };
    await expect(runFixed({ cluster: decode, requests: [known] })).rejects.toThrow(
      'no instance takes prompts',
    );
  });

  it('says of a whole workload what could never be served, without running it', () => {
    const requests = [10, 60, 20, 70].map((promptTokens, id) => ({
      id,
      arrivalNs: 0,
      promptTokens,
      outputTokens: 12,
    }));
    const cluster = clusterOf([{ max_model_len: 68 }, { max_model_len: 75 }]);
    expect(unservable(cluster, requests)).toEqual([
      {
        request: 3,
        reason: expect.stringContaining('exceed the context of 68 tokens of instance0'),
        hint: expect.stringContaining('workload convert --max-model-len 68'),
      },
    ]);
    expect(unservable(cluster, requests.slice(0, 3))).toEqual([]);
  });

  it('drafts beyond the answer need room, too', async () => {
    const speculation = { speculative_tokens: 2 };
    await expect(serve(18, speculation)).rejects.toThrow('needs 18 KV blocks, instance0 has 17');
    expect((await serve(19, speculation)).states[0].numOutputTokens).toBe(12);
  });

  it('so does the step behind an end that nobody foresees, with its drafts', async () => {
    const surprise = { eos_share: 1 };
    await expect(serve(18, surprise, 57)).rejects.toThrow('needs 18 KV blocks, instance0 has 17');
    expect((await serve(19, surprise, 57)).states[0].numOutputTokens).toBe(12);
    const both = { ...surprise, speculative_tokens: 2 };
    await expect(serve(19, both, 57)).rejects.toThrow('needs 19 KV blocks, instance0 has 18');
    expect((await serve(20, both, 57)).states[0].numOutputTokens).toBe(12);
  });

  it('what fits where it is prefilled must fit where it is decoded', async () => {
    const pair = (decodeBlocks: number) =>
      runFixed({
        cluster: clusterOf([
          { pd_type: 'prefill', kv_blocks: 40 },
          { pd_type: 'decode', kv_blocks: decodeBlocks },
        ]),
        requests: [{ id: 0, arrivalNs: 0, promptTokens: 30, outputTokens: 20 }],
      });
    await expect(pair(4)).rejects.toThrow('needs 4 KV blocks, instance1 has 3');
    expect((await pair(5)).states[0].numOutputTokens).toBe(20);
  });

  it('a request goes only where it fits', async () => {
    const run = await runFixed({
      cluster: clusterOf([{ kv_blocks: 4 }, { kv_blocks: 40 }]),
      requests: [0, 1, 2].map((id) => ({ id, arrivalNs: 0, promptTokens: 100, outputTokens: 2 })),
    });
    expect(run.states.map(({ instance }) => instance)).toEqual([1, 1, 1]);
  });

  it('rejects on request, and serves the rest', async () => {
    const run = await runFixed({
      cluster: clusterOf([{ kv_blocks: 4 }]),
      requests: [100, 10].map((promptTokens, id) => ({
        id,
        arrivalNs: 0,
        promptTokens,
        outputTokens: 2,
      })),
      unservable: 'reject',
    });
    expect(run.rejections).toEqual([{ request: 0, reason: 'needs 7 KV blocks, instance0 has 3' }]);
    expect(run.states[1].numOutputTokens).toBe(2);
  });
});
