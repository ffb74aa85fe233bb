/**
 * What the engine does between kernels, on steps of 10 us: host work that hides or does not, tokens on
 * their way to the client, speculation, surprise ends, priority, clients that go away.
 */
import { hostStepSchema, outputPathSchema } from '@astrolabe/config';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import { clusterOf, FixedMachine, runFixed } from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import type { HostTerms } from './run-inputs.js';
import { summarise } from './summary.js';

const stepNs = 10_000;
const times = { stepNs };

const request = (id: number, arrivalNs: number, outputTokens: number, extra = {}): Request => ({
  id,
  arrivalNs,
  promptTokens: 8,
  outputTokens,
  ...extra,
});

/** Host terms of which all but the given ones are zero. */
function host(given: object): HostTerms {
  const zero = Object.fromEntries(Object.keys(hostStepSchema.shape).map((key) => [key, 0]));
  const steps = { X: hostStepSchema.parse({ ...zero, ...given }) };
  return { frontEndDelayNs: 0, warmUpNs: 0, steps };
}

/** The gap between two tokens in the middle of an answer. */
async function gap(instance: object, hostTerms?: HostTerms): Promise<number> {
  const run = await runFixed({
    cluster: clusterOf([instance]),
    requests: [request(0, 0, 101)],
    times,
    ...(hostTerms === undefined ? {} : { hostTerms }),
  });
  return run.tokenGaps.toArray()[50];
}

describe('host work', () => {
  const synchronous = { async_scheduling: false };

  it('adds to every synchronous step: scheduling, preparation, update', async () => {
    const terms = host({ schedule_ns: 2000, prepare_ns: 500, schedule_per_request_ns: 100 });
    expect(await gap(synchronous, terms)).toBe(stepNs + 2000 + 500 + 100);
  });

  it('hides behind the step before when scheduling is asynchronous', async () => {
    const terms = host({ schedule_ns: 2000, prepare_ns: 500 });
    expect(await gap({}, terms)).toBe(stepNs);
  });

  it('shows again when it takes longer than the device', async () => {
    // One process: schedule, prepare and launch follow one another.
    const slow = host({ schedule_ns: 2000, prepare_ns: 500, launch_full_graph_ns: 20_000 });
    expect(await gap({}, slow)).toBe(22_500);
    // Two processes: the worker prepares and launches while the engine handles outputs.
    expect(await gap({ tp_size: 2 }, slow)).toBe(20_500);
  });

  it('a prompt beyond the largest graph is launched kernel by kernel', async () => {
    const cluster = clusterOf([{ ...synchronous, max_num_seqs: 4 }]);
    const ttft = async (promptTokens: number): Promise<number | null> => {
      const requests = [{ ...request(0, 0, 1), promptTokens }];
      const hostTerms = host({ launch_kernel_ns: 1000, launch_piece_ns: 10 });
      const run = await runFixed({ cluster, requests, times, hostTerms });
      return requestResults(run)[0].ttftNs;
    };
    // 2 layers: 27 kernels. 4 seats: graphs up to 8 tokens; 3 pieces hide behind the device.
    expect(await ttft(8)).toBe(stepNs);
    expect(await ttft(9)).toBe(27_000);
  });

  it('a compiled program is launched as one, whatever it holds', async () => {
    const ttft = async (batchPadding: string): Promise<number | null> => {
      const instance = { ...synchronous, max_num_seqs: 4, batch_padding: batchPadding };
      const run = await runFixed({
        cluster: clusterOf([instance]),
        requests: [{ ...request(0, 0, 1), promptTokens: 9 }],
        times,
        hostTerms: host({ launch_kernel_ns: 1000, launch_full_graph_ns: 20_000 }),
      });
      return requestResults(run)[0].ttftNs;
    };
    expect(await ttft('buckets')).toBe(20_000);
    expect(await ttft('none')).toBe(27_000);
  });

  it('tokens pass one API process, one after another, and travel on', async () => {
    const output = outputPathSchema.parse({ delay_ns: 700, detokenise_per_token_ns: 100 });
    const requests = [request(0, 0, 3), request(1, 0, 3)];
    const run = await runFixed({
      cluster: clusterOf([synchronous]),
      requests,
      times,
      hostTerms: { frontEndDelayNs: 0, warmUpNs: 0, output },
    });
    const [row] = requestResults(run);
    // Every step has a token of each.
    expect([row.ttftNs, row.latencyNs]).toEqual([10_000 + 200 + 700, 30_000 + 200 + 700]);
  });
});

describe('speculation', () => {
  it('certain acceptance gives 1 + k tokens a step', async () => {
    const instance = { speculative_tokens: 3, speculative_acceptance: 1 };
    for (const async_scheduling of [true, false]) {
      const run = await runFixed({
        cluster: clusterOf([{ ...instance, async_scheduling }]),
        requests: [request(0, 0, 41)],
        times,
      });
      // One token from the prompt, then 40 in steps of four.
      expect(requestResults(run)[0].latencyNs).toBe(11 * stepNs);
      expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
    }
  });

  it('without acceptance it gives one token a step, at the cost of the drafts', async () => {
    const instance = {
      speculative_tokens: 3,
      speculative_acceptance: 0,
      speculative_draft_ns: 50,
      async_scheduling: false,
    };
    const backend = new FixedMachine(times);
    const requests = [request(0, 0, 5)];
    const run = await runFixed({ cluster: clusterOf([instance]), requests, backend });
    expect(requestResults(run)[0].latencyNs).toBe(5 * stepNs);
    const steps = backend.submitted.map(({ newTokens, contextTokens, draftNs }) => [
      newTokens[0],
      contextTokens[0],
      draftNs,
    ]);
    // What was rejected is computed again: context grows by one a step.
    expect(steps).toEqual([
      [8, 0, undefined],
      [4, 8, 150],
      [4, 9, 150],
      [4, 10, 150],
      [4, 11, 150],
    ]);
  });

  it('near its end a request stays in every batch until those in flight are sure to end it', async () => {
    // All drafts fail. Request 1 is in the steps that end at 10, 20, ... us, one token each, though four
    // in flight would end it if they were accepted. Request 0 keeps the device busy.
    const instance = { speculative_tokens: 3, speculative_acceptance: 0 };
    const requests = [request(0, 0, 60), request(1, 0, 5)];
    const run = await runFixed({ cluster: clusterOf([instance]), requests, times });
    expect(requestResults(run)[1].latencyNs).toBe(5 * stepNs);
  });

  it('accepts p + p^2 + ... + p^k of k on average', async () => {
    const requests = Array.from({ length: 60 }, (_, id) => request(id, id * 1000, 200));
    const instance = { speculative_tokens: 4, speculative_acceptance: 0.6 };
    const run = await runFixed({ cluster: clusterOf([instance]), requests, times });
    const { acceptance } = run.engines[0].scheduler;
    const perStep = (4 * (acceptance?.accepted ?? 0)) / (acceptance?.drafted ?? 1);
    expect(perStep).toBeCloseTo(0.6 + 0.6 ** 2 + 0.6 ** 3 + 0.6 ** 4, 1);
    const done = requestResults(run).every((row) => row.status === 'finished');
    expect(done).toBe(true);
    expect(run.states.every((state) => state.numOutputTokens === 200)).toBe(true);
    expect(run.states.every((state) => state.numPlaceholders >= 0)).toBe(true);
  });
});

describe('ends', () => {
  it('a surprise end wastes the row that was scheduled ahead, and only then', async () => {
    const rows = async (instance: object): Promise<number> => {
      const backend = new FixedMachine(times);
      const requests = [request(0, 0, 5)];
      await runFixed({ cluster: clusterOf([instance]), requests, backend });
      return backend.submitted.length;
    };
    expect(await rows({})).toBe(5);
    expect(await rows({ eos_share: 1 })).toBe(6);
    expect(await rows({ eos_share: 1, async_scheduling: false })).toBe(5);
  });

  it('a client that goes away frees its seat and its blocks at the next turn', async () => {
    const cluster = clusterOf([{ max_num_seqs: 1 }]);
    const requests = [request(0, 0, 1000), request(1, 50_000, 3)];
    const run = await runFixed({ cluster, requests, times, clientTimeoutNs: 55_000 });
    const [first, second] = requestResults(run);
    expect(first).toMatchObject({ status: 'aborted', finishNs: null });
    // Gone at 55 us: known at 60, when the step until 70 is queued; the next begins there.
    expect(second).toMatchObject({ status: 'finished', scheduledNs: 60_000, firstTokenNs: 80_000 });
    expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
    const summary = summarise(run, requestResults(run), { fitted: [], lookups: undefined });
    expect(summary.requests).toEqual({ total: 2, finished: 1, aborted: 1 });
    expect(summary.complete).toBe(true);
  });

  it('with patience enough nothing changes, byte for byte', async () => {
    const requests = Array.from({ length: 20 }, (_, id) => request(id, id * 4000, 5 + id));
    const record = async (extra: object): Promise<string> => {
      const backend = new FixedMachine(times);
      const run = await runFixed({ cluster: clusterOf([{}]), requests, backend, ...extra });
      return JSON.stringify([backend.submitted, requestResults(run)]);
    };
    expect(await record({ clientTimeoutNs: 1e12 })).toBe(await record({}));
  });
});

describe('priority policy', () => {
  it('the urgent go first, whenever they came', async () => {
    const cluster = clusterOf([{ max_num_seqs: 1, scheduling_policy: 'priority' }]);
    const requests = [
      request(0, 0, 5),
      request(1, 1000, 1, { priority: 2 }),
      request(2, 2000, 1, { priority: 1 }),
      request(3, 3000, 1, { priority: 1 }),
    ];
    const run = await runFixed({ cluster, requests, times });
    const order = requestResults(run).map((row) => row.scheduledNs ?? 0);
    expect(order[2]).toBeLessThan(order[3]);
    expect(order[3]).toBeLessThan(order[1]);
  });

  it('preempts the least urgent, even one this step has scheduled', async () => {
    // 7 usable blocks of 4 tokens: two prompts of 12 hold three each, and both soon need a fourth.
    const engine = { kv_blocks: 8, block_size: 4, async_scheduling: false };
    const preempted = async (policy: string): Promise<number[]> => {
      const cluster = clusterOf([{ ...engine, scheduling_policy: policy }]);
      const requests = [
        request(0, 0, 8, { promptTokens: 12, priority: 5 }),
        request(1, 0, 8, { promptTokens: 12, priority: 1 }),
      ];
      const run = await runFixed({ cluster, requests, times });
      expect(run.states.every((state) => state.numOutputTokens === 8)).toBe(true);
      expect(run.engines[0].kv.pool.usedBlocks).toBe(0);
      return run.states.map((state) => state.preemptions);
    };
    expect((await preempted('fcfs'))[0]).toBe(0);
    expect((await preempted('priority'))[1]).toBe(0);
    expect((await preempted('priority'))[0]).toBeGreaterThan(0);
  });
});
