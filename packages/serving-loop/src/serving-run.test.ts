/** The loop over a machine that takes a fixed time per step: when tokens come, and from whom. */
import { nsPerMs } from '@astrolabe/base';
import { type Cluster, type Instance, parseModel, resolveEngine } from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import type { Request } from '@astrolabe/workload';
import { describe, expect, it } from 'vitest';
import type { Backend } from './backend.js';
import { requestResults } from './metrics.js';
import type { RoutingPolicy } from './router.js';
import { runServing } from './serving-run.js';

const stepNs = 10 * nsPerMs;

/** Every step of every instance takes 10 ms; steps of one instance run one after another. */
class FixedStep implements Backend {
  private readonly queue: Completion[] = [];
  private readonly freeAt = new Map<number, number>();

  submit(iteration: Iteration): void {
    const startNs = Math.max(iteration.releaseNs, this.freeAt.get(iteration.instance) ?? 0);
    const finishNs = startNs + stepNs;
    this.freeAt.set(iteration.instance, finishNs);
    this.queue.push({
      instance: iteration.instance,
      iteration: iteration.iteration,
      lane: 0,
      startNs,
      finishNs,
      npus: [],
      commBytes: 0,
      memoryBytes: 0,
    });
    this.queue.sort((a, b) => a.finishNs - b.finishNs);
  }

  transfer(): void {
    throw new Error('no disaggregation here');
  }

  async next(untilNs: number): Promise<Completion | undefined> {
    const first = this.queue[0];
    return first !== undefined && first.finishNs <= untilNs ? this.queue.shift() : undefined;
  }

  async close(): Promise<undefined> {
    return undefined;
  }
}

const model = parseModel('tiny', tinyModel, 'test');

function cluster(instances: number, asyncScheduling: boolean): Cluster {
  return {
    nodes: [],
    instances: Array.from(
      { length: instances },
      (_, index): Instance => ({
        index,
        name: `instance${index}`,
        place: 'test',
        node: 0,
        model,
        hardware: 'X',
        role: 'colocated',
        tp: 1,
        pp: 1,
        ep: 1,
        dpGroup: undefined,
        npus: [index],
        memory: { sizeBytes: 1e9, bandwidthGBps: 1, latencyNs: 0, utilization: 0.9 },
        engine: { ...resolveEngine('bfloat16'), asyncScheduling, kvBlocks: 1000 },
        placement: undefined,
      }),
    ),
    numNpus: instances,
    linkBandwidthGBps: [1],
    linkLatencyNs: [0],
    cxl: undefined,
  };
}

async function run(
  requests: readonly Request[],
  {
    instances = 1,
    asyncScheduling = true,
    routing = 'round-robin' as RoutingPolicy,
    intervalNs = 1e9,
  } = {},
) {
  const result = await runServing({
    cluster: cluster(instances, asyncScheduling),
    requests,
    backend: new FixedStep(),
    routing,
    seed: 1,
    hostTerms: { frontEndDelayNs: 0, warmUpNs: 0 },
    intervalNs,
  });
  return requestResults(result);
}

const request = (id: number, arrivalMs: number, outputTokens: number): Request => ({
  id,
  arrivalNs: arrivalMs * nsPerMs,
  promptTokens: 8,
  outputTokens,
});

describe('runServing', () => {
  it('at idle the first token takes one step', async () => {
    const [row] = await run([request(0, 3, 3)]);
    expect(row.ttftNs).toBe(stepNs);
    expect(row.tpotNs).toBe(stepNs);
    expect(row.latencyNs).toBe(3 * stepNs);
  });

  it('asynchronous: under load a request waits for the batch after the running one', async () => {
    // Request 0 runs from 0; steps end at 10, 20, ... Request 1 comes at 12, enters at 20 when step 2
    // is already queued, so its own step runs from 30 to 40.
    const rows = await run([request(0, 0, 20), request(1, 12, 1)]);
    expect(rows[1].scheduledNs).toBe(20 * nsPerMs);
    expect(rows[1].firstTokenNs).toBe(40 * nsPerMs);
  });

  it('synchronous: it joins the very next batch', async () => {
    const rows = await run([request(0, 0, 20), request(1, 12, 1)], { asyncScheduling: false });
    expect(rows[1].firstTokenNs).toBe(30 * nsPerMs);
  });

  it('round robin alternates, least loaded avoids the busy one', async () => {
    const requests = [request(0, 0, 50), request(1, 1, 1), request(2, 30, 1), request(3, 60, 1)];
    const robin = await run(requests, { instances: 2 });
    expect(robin.map((row) => row.instance)).toEqual([0, 1, 0, 1]);
    const least = await run(requests, { instances: 2, routing: 'least-loaded' });
    expect(least.map((row) => row.instance)).toEqual([0, 1, 1, 1]);
  });

  it('a turn starts a think time after its predecessor ended', async () => {
    const rows = await run([
      request(0, 0, 2),
      { ...request(1, 0, 1), after: [0], thinkNs: 5 * nsPerMs },
    ]);
    expect(rows[0].finishNs).toBe(20 * nsPerMs);
    expect(rows[1].arrivalNs).toBe(25 * nsPerMs);
    expect(rows[1].ttftNs).toBe(stepNs);
  });

  it('refuses more intervals than memory holds, none of length zero either', async () => {
    const year = [request(0, 6e9, 1)];
    await expect(run(year)).rejects.toThrow(
      /^--interval: .* s in intervals of 1 s, expected at most/,
    );
    await expect(run([request(0, 0, 1)], { intervalNs: 0 })).rejects.toThrow(/^--interval/);
  });

  it('refuses a request beyond the context', async () => {
    await expect(run([{ ...request(0, 0, 1), promptTokens: 5000 }])).rejects.toThrow(
      /request 0: prompt 5000 \+ output 1 tokens exceed the context of 4096/,
    );
  });
});
