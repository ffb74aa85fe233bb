/**
 * Prefill on one instance, decode on another, worked by hand on a machine where every step takes
 * 10 ms and every transfer 4 ms.
 */
import { nsPerMs } from '@astrolabe/base';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine } from '../machine.test-helper.js';
import { requestResults } from '../metrics.js';
import { runServing } from '../serving-run.js';
import { summarise } from '../summary.js';

const ms = (value: number): number => value * nsPerMs;

const request = (id: number, arrivalMs: number, extra: Partial<Request> = {}): Request => ({
  id,
  arrivalNs: ms(arrivalMs),
  promptTokens: 20,
  outputTokens: 3,
  ...extra,
});

interface Setup {
  prefill?: object[];
  decode?: object[];
  kvTransfer?: object;
  transferMs?: number;
  /** Tokens of a sliding window. */
  window?: number;
}

async function run(
  requests: readonly Request[],
  { prefill = [{}], decode = [{}], kvTransfer = {}, transferMs = 4, window }: Setup = {},
) {
  const machine = new FixedMachine({ stepNs: ms(10), transferNs: ms(transferMs) });
  const cluster = clusterOf(
    [
      ...prefill.map((entry) => ({ pd_type: 'prefill', async_scheduling: false, ...entry })),
      ...decode.map((entry) => ({ pd_type: 'decode', async_scheduling: false, ...entry })),
    ],
    { cluster: { kv_transfer: kvTransfer } },
  );
  const instances = cluster.instances.map((instance) => ({
    ...instance,
    model: { ...instance.model, slidingWindow: window },
  }));
  const result = await runServing({
    cluster: { ...cluster, instances },
    requests,
    backend: machine,
    routing: 'round-robin',
    seed: 1,
    hostTerms: { frontEndDelayNs: 0, warmUpNs: 0 },
    intervalNs: 1e9,
  });
  return { rows: requestResults(result), machine, result };
}

/** new+context tokens per request of every step of an instance. */
function steps(machine: FixedMachine, instance: number): string[] {
  return machine.submitted
    .filter((iteration) => iteration.instance === instance)
    .map(({ requests, newTokens, contextTokens }) =>
      requests.map((index, i) => `${index}:${newTokens[i]}+${contextTokens[i]}`).join(' '),
    );
}

describe('pull', () => {
  it('at idle: prefill, transfer, then decode computes the last prompt token again', async () => {
    const { rows, machine } = await run([request(0, 5)]);
    // Prefill 5..15, transfer 15..19, steps end at 29, 39, 49.
    expect(rows[0]).toMatchObject({
      instance: 1,
      scheduledNs: ms(5),
      firstTokenNs: ms(29),
      finishNs: ms(49),
      status: 'finished',
    });
    expect(steps(machine, 0)).toEqual(['0:20+0']);
    expect(steps(machine, 1)).toEqual(['0:1+19', '0:1+20', '0:1+21']);
    // 20 tokens in blocks of 16 are two blocks.
    expect(machine.transferred).toEqual([
      { transfer: 0, request: 0, from: 0, to: 1, releaseNs: ms(15), tokens: 32, pull: true },
    ]);
  });

  it('under load: the arrival is noticed by the next step and runs in the one after', async () => {
    // Request 0 decodes from 24 on (prefill 0..10, transfer 10..14): steps end at 24, 34, 44, ...
    // Request 1: prefill 12..22, blocks reserved at 24, transfer 24..28. The step of 24..34 was
    // composed before 28; that of 34..44 looks, its end reports, the step of 44..54 has the token.
    const { rows } = await run([request(0, 0, { outputTokens: 20 }), request(1, 12)]);
    expect(rows[1].firstTokenNs).toBe(ms(54));
  });

  it('under load, composing ahead: the step that looks is a step further away, and so is its end', async () => {
    // As above, but steps are composed one ahead: at 34 that of 44..54, which looks; its end reports,
    // when the next to be composed is that of 64..74.
    const { rows } = await run([request(0, 0, { outputTokens: 20 }), request(1, 12)], {
      decode: [{ async_scheduling: true }],
    });
    expect(rows[1].firstTokenNs).toBe(ms(74));
  });

  it('waits for blocks at the decode instance, with its own blocks pinned', async () => {
    // 3 blocks hold one request of 20 + 3 tokens at a time (the null block is the fourth).
    const { rows, result } = await run([request(0, 0), request(1, 0)], {
      decode: [{ kv_blocks: 4 }],
      prefill: [{ kv_blocks: 6 }],
    });
    // Both prefilled at 10; request 0: 10..14, tokens at 24, 34, 44; then request 1: 44..48, 58.
    expect(rows.map((row) => row.firstTokenNs)).toEqual([ms(24), ms(58)]);
    for (const { kv } of result.engines) expect(kv.pool.usedBlocks).toBe(0);
  });

  it('blocks that nobody fetches in time are freed, and the next prompt has them', async () => {
    // Decode holds one request: 0 is fetched 10..14 and ends at 44 + 30; 1, prefilled at 24, waits.
    const long = [request(0, 0, { outputTokens: 6 }), request(1, 0), request(2, 0)];
    const small = { decode: [{ kv_blocks: 4 }], prefill: [{ kv_blocks: 4 }] };
    const kept = await run(long, small);
    expect(kept.result.transfers.released).toBe(0);
    expect(kept.rows.map((row) => row.scheduledNs)).toEqual([0, ms(14), ms(78)]);
    const freed = await run(long, { ...small, kvTransfer: { release_after_s: 0.02 } });
    // Prefilled at 24, freed at 44: the third prompt starts 34 ms earlier, and is freed in turn.
    expect(freed.rows.map((row) => row.scheduledNs)).toEqual([0, ms(14), ms(44)]);
    expect(freed.rows.map((row) => row.status)).toEqual(['finished', 'finished', 'finished']);
    expect(freed.machine.transferred.map(({ releaseNs }) => releaseNs)).toEqual(
      kept.machine.transferred
        .map(({ releaseNs }) => releaseNs)
        .slice(0, 2)
        .concat(ms(108)),
    );
    for (const { kv } of freed.result.engines) expect(kv.pool.usedBlocks).toBe(0);
    const context = { fitted: [], lookups: undefined };
    const { kvTransfers } = summarise(freed.result, freed.rows, context);
    expect(kvTransfers).toMatchObject({ releasedUnfetched: 2 });
    const plain = summarise(kept.result, kept.rows, context);
    expect(plain.kvTransfers).not.toHaveProperty('releasedUnfetched');
  });

  it('back-pressure: a prefill waits until pinned blocks are handed over', async () => {
    // Prefill has room for one prompt (2 of 3 blocks): the second starts when the first has gone.
    const { rows } = await run([request(0, 0), request(1, 0)], { prefill: [{ kv_blocks: 4 }] });
    expect(rows.map((row) => row.scheduledNs)).toEqual([0, ms(14)]);
  });

  it('a busy prefill instance looks for what has gone with its next step, and hears at its end', async () => {
    const { rows } = await run(
      [
        request(0, 0, { promptTokens: 16 }),
        request(1, 5, { promptTokens: 32 }),
        request(2, 12, { promptTokens: 48 }),
      ],
      { prefill: [{ kv_blocks: 6, long_prefill_token_threshold: 16 }] },
    );
    // 5 blocks. The one of 0 has gone by 14; the step of 20..30 looks. At 20 request 1 takes its second,
    // two are free and request 2 needs three; at 30 they are.
    expect(rows.map((row) => row.scheduledNs)).toEqual([0, ms(10), ms(30)]);
  });

  it('moves only what the decode instance lacks', async () => {
    const shared = { promptTokens: 40, outputTokens: 2 };
    const { machine } = await run([
      request(0, 0, shared),
      request(1, 100, { ...shared, prefix: { of: 0, tokens: 40 } }),
    ]);
    // 40 tokens: 3 blocks; the second finds 2 full ones at the decode instance.
    expect(machine.transferred.map(({ tokens }) => tokens)).toEqual([48, 16]);
    // And 2 full ones at the prefill instance.
    expect(steps(machine, 0)).toEqual(['0:40+0', '1:8+32']);
  });

  it('a prompt of one token for one token is moved and computed once', async () => {
    const { rows, machine } = await run([request(0, 0, { promptTokens: 1, outputTokens: 1 })]);
    expect(machine.transferred.map(({ tokens }) => tokens)).toEqual([16]);
    expect([steps(machine, 0), steps(machine, 1)]).toEqual([['0:1+0'], ['0:1+0']]);
    expect(rows[0]).toMatchObject({ firstTokenNs: ms(24), finishNs: ms(24) });
  });

  it('a prompt that fills its block: the last token needs no other', async () => {
    // The decode instance has the one block beside the null block.
    const { machine, rows } = await run([request(0, 0, { promptTokens: 16, outputTokens: 1 })], {
      decode: [{ kv_blocks: 2 }],
    });
    expect(machine.transferred.map(({ tokens }) => tokens)).toEqual([16]);
    expect(steps(machine, 1)).toEqual(['0:1+15']);
    expect(rows[0].finishNs).toBe(ms(24));
  });

  it('seats: a reservation needs a free one, though it takes none', async () => {
    const { rows } = await run([request(0, 0), request(1, 0), request(2, 15)], {
      decode: [{ max_num_seqs: 1 }],
    });
    // 0 and 1 are prefilled by 10 and both reserve, as nobody runs; transfers 10..14 and 14..18.
    // 0 has its tokens at 24, 34, 44. 1 is ready at 34 and has the seat at 44: 54, 64, 74.
    // 2 is prefilled by 25. Until 74 no seat is free: it reserves then, moves until 78.
    expect(rows.map((row) => row.firstTokenNs)).toEqual([ms(24), ms(54), ms(88)]);
  });

  it('a preempted request is computed again where it decodes', async () => {
    // 4 blocks: two prompts of 30. Request 0 needs a third block for its 33rd token, at 44. Request 1
    // comes back when it has ended, and finds the first of its own blocks.
    const long = { promptTokens: 30, outputTokens: 5 };
    const { rows, machine } = await run([request(0, 0, long), request(1, 0, long)], {
      decode: [{ kv_blocks: 5 }],
    });
    expect(steps(machine, 1)).toEqual([
      '0:1+29',
      '0:1+30',
      '0:1+31 1:1+29',
      '0:1+32',
      '0:1+33',
      '1:15+16',
      '1:1+31',
      '1:1+32',
      '1:1+33',
    ]);
    expect(rows.map((row) => row.finishNs)).toEqual([ms(64), ms(104)]);
    expect(machine.transferred).toHaveLength(2);
  });

  it('shakes hands once per pair', async () => {
    const { machine } = await run([request(0, 0), request(1, 200)], {
      kvTransfer: { handshake_ns: ms(50) },
    });
    expect(machine.transferred.map(({ releaseNs }) => releaseNs)).toEqual([ms(60), ms(210)]);
  });

  it('the prefill side keeps priorities', async () => {
    const priority = { scheduling_policy: 'priority' };
    const urgent = request(2, 1, { priority: -1 });
    const { rows } = await run([request(0, 0), request(1, 0), urgent], {
      prefill: [{ ...priority, max_num_seqs: 1 }],
      decode: [priority],
    });
    // 0 runs first; then the urgent one, though it came last.
    expect(rows.map((row) => row.scheduledNs)).toEqual([0, ms(20), ms(10)]);
  });

  it('2 prefill, 1 decode: both hand over to the same instance', async () => {
    const { rows, machine } = await run([request(0, 0), request(1, 0)], { prefill: [{}, {}] });
    expect(machine.transferred.map(({ from, to }) => `${from}>${to}`)).toEqual(['0>2', '1>2']);
    expect(rows.every((row) => row.instance === 2)).toBe(true);
  });
});

describe('first token from prefill', () => {
  it("is the client's at the end of the prefill; decode goes on from it", async () => {
    const { rows, machine } = await run([request(0, 0)], {
      kvTransfer: { first_token: 'prefill' },
    });
    // Prefill 0..10, transfer 10..14, steps end at 24 and 34.
    expect(rows[0]).toMatchObject({ firstTokenNs: ms(10), finishNs: ms(34) });
    expect(steps(machine, 1)).toEqual(['0:1+20', '0:1+21']);
  });

  it('ends there when it was the only one', async () => {
    const { rows, machine } = await run([request(0, 0, { outputTokens: 1 })], {
      kvTransfer: { first_token: 'prefill', initiate: 'push' },
    });
    expect(rows[0]).toMatchObject({ instance: 0, finishNs: ms(10), status: 'finished' });
    expect(machine.transferred).toEqual([]);
  });
});

describe('push', () => {
  it('reserves first, sends when the prefill ends', async () => {
    const { rows, machine } = await run([request(0, 0)], { kvTransfer: { initiate: 'push' } });
    expect(machine.transferred).toEqual([
      { transfer: 0, request: 0, from: 0, to: 1, releaseNs: ms(10), tokens: 32 },
    ]);
    expect(rows[0].firstTokenNs).toBe(ms(24));
  });

  it('prompts of one instant reserve together and are prefilled in one step', async () => {
    const { machine, rows } = await run([request(0, 0), request(1, 0)], {
      kvTransfer: { initiate: 'push' },
    });
    expect(steps(machine, 0)).toEqual(['0:20+0 1:20+0']);
    // Transfers 10..14 and 14..18; 1 is looked for at 24 and ready at 34.
    expect(rows.map((row) => row.firstTokenNs)).toEqual([ms(24), ms(44)]);
  });

  it('layer by layer: every chunk names its transfer in its step', async () => {
    const { rows, machine } = await run([request(0, 0)], {
      kvTransfer: { initiate: 'push', granularity: 'layer' },
      prefill: [{ max_num_batched_tokens: 10 }],
    });
    // Chunks of 10 tokens: after the first no block is full, after the second both go.
    expect(machine.submitted.filter((it) => it.instance === 0).map((it) => it.kvSends)).toEqual([
      undefined,
      [{ transfer: 0, to: 1, tokens: 32 }],
    ]);
    expect(machine.transferred[0]).toMatchObject({ inStep: true, layerwise: true, tokens: 32 });
    // The chunk runs 10..20; its KV has arrived by 14 here, so decode begins at 20.
    expect(rows[0].firstTokenNs).toBe(ms(30));
  });

  it('a full decode pool holds the prefill back', async () => {
    const { rows } = await run([request(0, 0), request(1, 0)], {
      kvTransfer: { initiate: 'push' },
      decode: [{ kv_blocks: 4 }],
    });
    // Request 0 ends at 44; only then has request 1 blocks, so only then is it prefilled.
    expect(rows[0].finishNs).toBe(ms(44));
    expect(rows[1].scheduledNs).toBe(ms(44));
  });
});

describe('refusals', () => {
  it('a prompt that the decode pool cannot take at once, window or not', async () => {
    // 300 tokens are 19 blocks; a window of 64 and a step of 32 would do with 7.
    const long = request(0, 0, { promptTokens: 300 });
    const small = { kv_blocks: 12, max_num_batched_tokens: 32 };
    const windowed = run([long], { prefill: [small], decode: [small], window: 64 });
    await expect(windowed).rejects.toThrow(/needs 19 KV blocks, instance1 has 11/);
    const roomy = { ...small, kv_blocks: 21 };
    const { rows } = await run([long], { prefill: [small], decode: [roomy], window: 64 });
    expect(rows[0].status).toBe('finished');
  });

  it('prefill without decode', async () => {
    await expect(run([request(0, 0)], { decode: [] })).rejects.toThrow(
      /no decode instance to hand over to/,
    );
  });

  it('decode without prefill', async () => {
    await expect(run([request(0, 0)], { prefill: [] })).rejects.toThrow(/all are decode instances/);
  });
});

describe('overload', () => {
  const overload = async (kvTransfer: object, kvBlocks: number) => {
    // A request every 0.18 s; the decode instance has one for 0.21 s and more.
    const requests = Array.from({ length: 40 }, (_, i) =>
      request(i, 180 * i, { outputTokens: 22 }),
    );
    const { rows, result } = await run(requests, { kvTransfer, decode: [{ kv_blocks: kvBlocks }] });
    return summarise(result, rows, { fitted: [], lookups: undefined }).trust;
  };

  it.each(['prefill', 'decode'])('of the decode instance, first token from %s', async (from) => {
    // 3 blocks hold one request at a time.
    const one = await overload({ first_token: from }, 4);
    expect(one.overloaded).toBe(true);
    expect(one.load).toBeGreaterThan(1.1);
    const many = await overload({ first_token: from }, 40);
    expect(many.overloaded).toBe(false);
    expect(many.load).toBeCloseTo(1, 6);
  });
});
