/** What binds, on engines made to lack one thing each. */
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine, runFixed } from './machine.test-helper.js';
import type { Saturation } from './saturation.js';

const times = { stepNs: 10_000 };

async function saturationOf(
  instance: object,
  { count = 40, promptTokens = 100, outputTokens = 20, gapNs = 1000 } = {},
): Promise<Saturation> {
  const requests = Array.from(
    { length: count },
    (_, id): Request => ({ id, arrivalNs: id * gapNs, promptTokens, outputTokens }),
  );
  const run = await runFixed({ cluster: clusterOf([instance]), requests, times });
  return run.saturation[0];
}

describe('saturation', () => {
  it('names KV, seats and the token budget', async () => {
    const kv = await saturationOf({ kv_blocks: 20 });
    expect(kv.binds).toBe('kv');
    expect(kv.statement).toMatch(/^instance0: KV blocks bind: requests waited .* of the steps/);
    expect((await saturationOf({ max_num_seqs: 2 })).binds).toBe('seats');
    const prompts = { promptTokens: 3000, outputTokens: 2 };
    expect((await saturationOf({ max_num_batched_tokens: 512 }, prompts)).binds).toBe('budget');
  });

  it('does not call a limit what is waited for in less than a tenth of the steps', async () => {
    // The second of two requests of 20 steps comes in the course of the first.
    const after = (gapNs: number) => saturationOf({ max_num_seqs: 1 }, { count: 2, gapNs });
    const [early, late] = [await after(130_000), await after(180_000)];
    expect(early.waitedFor.seats).toBeGreaterThan(0.1);
    expect(early.waitedFor.seats).toBeLessThan(0.2);
    expect(early.binds).toBe('seats');
    expect(late.waitedFor.seats).toBeGreaterThan(0);
    expect(late.waitedFor.seats).toBeLessThan(0.1);
    expect(late.binds).not.toBe('seats');
  });

  it('tells bandwidth from compute by the bytes of a step', async () => {
    // The example model's 226 kB of weights pass at 1000 GB/s in 0.2 us of a step of 10 us.
    const slow = { npu_mem: { mem_size: 1, mem_bw: 20 } };
    const few = { count: 4, outputTokens: 200 };
    expect((await saturationOf({}, few)).binds).toBe('compute');
    expect((await saturationOf(slow, few)).binds).toBe('bandwidth');
  });

  it('takes every stage at the bandwidth of its own devices', async () => {
    const memory = (mem_bw: number) => ({ mem_size: 1, mem_bw });
    const stages = { pp_size: 2, npu_mem: memory(1000) };
    const few = { count: 4, outputTokens: 200 };
    const share = async (first: number, second: number): Promise<number> =>
      (await saturationOf({ ...stages, stage_npu_mem: [memory(first), memory(second)] }, few))
        .bandwidth;
    const alike = (await saturationOf(stages, few)).bandwidth;
    expect(await share(1000, 1000)).toBeCloseTo(alike, 9);
    expect(await share(1000, 500)).toBeCloseTo(2 * alike, 1);
  });

  it('weighs communication and memory below the device', async () => {
    /** Steps of 10 us, of which devices do the given alone, us. */
    const withParts = async (memBw: number, exposedComm: number, exposedMemory: number) => {
      const backend = new FixedMachine(times);
      const parts = {
        computeNs: 1000 * (10 - exposedComm - exposedMemory),
        exposedCommNs: 1000 * exposedComm,
        exposedMemoryNs: 1000 * exposedMemory,
      };
      const next = backend.next.bind(backend);
      backend.next = async (untilNs) => {
        const answer = await next(untilNs);
        if (answer === undefined) return undefined;
        const { startNs, finishNs } = answer;
        return { ...answer, npus: [{ npu: 0, startNs, finishNs, ...parts }] };
      };
      const cluster = clusterOf([{ npu_mem: { mem_size: 1, mem_bw: memBw } }]);
      const requests = [{ id: 0, arrivalNs: 0, promptTokens: 100, outputTokens: 200 }];
      return (await runFixed({ cluster, requests, backend })).saturation[0];
    };
    // 226 kB at 64 GB/s are 3.6 us of 10: less than half, but more than half of what is left of 6.
    expect(await withParts(64, 0, 0)).toMatchObject({ binds: 'compute' });
    const linked = await withParts(64, 4, 0);
    expect(linked).toMatchObject({ binds: 'bandwidth', communication: 0.4 });
    expect(linked).not.toHaveProperty('tiers');
    expect(linked.statement).toMatch(
      /device memory bandwidth binds; .*, communication alone 40 % of/,
    );
    expect(await withParts(64, 5, 0)).toMatchObject({
      binds: 'links',
      statement: expect.stringMatching(/links bind: .*, communication alone 50 % of that$/),
    });
    const streamed = await withParts(1000, 0, 6);
    expect(streamed).toMatchObject({ binds: 'bandwidth', tiers: 0.6 });
    expect(streamed.statement).toMatch(
      /: bandwidth of memory below the device binds; .*, waiting for memory below it 60 % of that$/,
    );
  });

  it('judges devices that take turns by the time in which they work', async () => {
    /** Steps of 10 us, in which each of two stages works for the given time, us. */
    const inTurns = async (worksUs: number) => {
      const backend = new FixedMachine(times);
      const next = backend.next.bind(backend);
      backend.next = async (untilNs) => {
        const answer = await next(untilNs);
        if (answer === undefined) return undefined;
        const { startNs, finishNs } = answer;
        const part = { computeNs: 1000 * worksUs, exposedCommNs: 0, exposedMemoryNs: 0 };
        return { ...answer, npus: [0, 1].map((npu) => ({ npu, startNs, finishNs, ...part })) };
      };
      const cluster = clusterOf([{ pp_size: 2, npu_mem: { mem_size: 1, mem_bw: 40 } }]);
      const requests = [{ id: 0, arrivalNs: 0, promptTokens: 100, outputTokens: 200 }];
      return (await runFixed({ cluster, requests, backend })).saturation[0];
    };
    const always = await inTurns(10);
    expect(always.binds).toBe('compute');
    // The same bytes in half of the time.
    const half = await inTurns(5);
    expect(half.binds).toBe('bandwidth');
    expect(half.bandwidth).toBe(always.bandwidth);
    expect(half.bandwidth).toBeLessThan(0.5);
  });

  it('says so when nothing binds', async () => {
    const idle = await saturationOf({}, { outputTokens: 2, gapNs: 100_000 });
    expect(idle.binds).toBe('none');
    expect(idle.busy).toBeLessThan(0.3);
    expect(idle.waitedFor).toEqual({ kv: 0, seats: 0, budget: 0 });
  });
});
