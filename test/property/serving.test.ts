/**
 * Random clusters and workloads through the real generator and machine: every request finishes or the
 * run is refused with a reason, tokens are conserved, no block leaks, nothing hangs, and the same
 * seed gives the same bytes. A watchdog bounds the events of a run, so a livelock is a failure too.
 */
import { assert, UserError } from '@astrolabe/base';
import { type RunResult, requestResults, runServing } from '@astrolabe/serving-loop';
import { transferLane } from '@astrolabe/trace-generator';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InProcess } from '../support/in-process.js';
import {
  clusterOf,
  formulas,
  mostDrafts,
  type ServingCase,
  servingCase,
} from './arbitrary-serving.js';

const numRuns = 500;
/** Far above what any case needs: 20 requests of at most 72 tokens. */
const mostTurns = 20_000;

/** Host work of about a step's time, so that it shows. */
const busyHost = {
  steps: {
    example: {
      schedule_ns: 2000,
      schedule_per_request_ns: 100,
      prepare_ns: 3000,
      prepare_per_request_ns: 200,
      launch_full_graph_ns: 1000,
      launch_graph_kernel_ns: 10,
      launch_piece_ns: 300,
      launch_attention_ns: 300,
      launch_kernel_ns: 100,
      ipc_ns: 1000,
      dp_sync_ns: 500,
    },
  },
  output: { delay_ns: 5000, detokenise_per_token_ns: 300 },
};

interface Outcome {
  readonly backend: InProcess;
  readonly run: RunResult;
}

/** Undefined: refused with a reason. */
async function serve(
  entry: ServingCase,
  {
    fastPaths = true,
    unservable = 'refuse',
  }: { fastPaths?: boolean; unservable?: 'refuse' | 'reject' } = {},
): Promise<Outcome | undefined> {
  try {
    const cluster = clusterOf(entry.file);
    const backend = new InProcess(cluster, () => formulas, { fastPaths, mostTurns });
    const run = await runServing({
      cluster,
      requests: entry.requests,
      backend,
      routing: entry.routing,
      seed: entry.seed,
      unservable,
      hostTerms: { frontEndDelayNs: 0, warmUpNs: 0, ...(entry.host ? busyHost : {}) },
      intervalNs: 1e6,
    });
    return { backend, run };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.message.length).toBeGreaterThan(10);
    return undefined;
  }
}

function makespanNs({ run }: Outcome): number {
  return run.states.reduce((latest, state) => Math.max(latest, state.finishNs), 0);
}

describe('serving', () => {
  it('finishes every request or refuses with a reason; tokens and blocks are conserved', async () => {
    let served = 0;
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const outcome = await serve(entry);
        if (outcome === undefined) return;
        served++;
        const { run, backend } = outcome;
        expect(backend.machine.stuck()).toMatchObject({ stuck: false });
        for (const row of requestResults(run)) expect(row.status).toBe('finished');
        for (const state of run.states) expect(state.numOutputTokens).toBe(state.outputTokens);
        for (const { kv } of run.engines) expect(kv.pool.usedBlocks).toBe(0);
        const gaps = entry.requests.reduce((sum, request) => sum + request.outputTokens - 1, 0);
        if (foresees(outcome)) expect(run.tokenGaps.toArray()).toHaveLength(gaps);
        else expect(run.tokenGaps.toArray().length).toBeLessThanOrEqual(gaps);
        checkPositions(entry, outcome);
        checkTransfers(entry, outcome);
      }),
      { numRuns, seed: 4 },
    );
    expect(served).toBeGreaterThan(numRuns / 2);
  });

  it('rejects what fits nowhere, with a reason, and serves the rest', async () => {
    let mixed = 0;
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const outcome = await serve(entry, { unservable: 'reject' });
        if (outcome === undefined) return;
        const { run } = outcome;
        const rejected = new Set(run.rejections.map(({ request }) => request));
        if (rejected.size > 0 && rejected.size < entry.requests.length) mixed++;
        for (const { reason } of run.rejections) expect(reason.length).toBeGreaterThan(10);
        for (const { request, status } of requestResults(run)) {
          expect(status).toBe(rejected.has(request) ? 'rejected' : 'finished');
        }
      }),
      { numRuns: 500, seed: 8 },
    );
    expect(mixed).toBeGreaterThan(10);
  });

  it('gives the same bytes with the same seed, and the same with every message an event', async () => {
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const first = await serve(entry);
        const again = await serve(entry);
        const plain = await serve(entry, { fastPaths: false });
        const bytes = (outcome: Outcome | undefined): string =>
          JSON.stringify([outcome?.backend.completions, outcome && requestResults(outcome.run)]);
        expect(bytes(again)).toBe(bytes(first));
        expect(bytes(plain)).toBe(bytes(first));
      }),
      { numRuns: 500, seed: 5 },
    );
  });

  it('more link bandwidth does not worsen the makespan by more than 10 %', async () => {
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const roomy = uniform({ ...entry, routing: 'round-robin' }, roomyLimits);
        const link_bw = roomy.file.link_bw * 10;
        const narrow = await serve(roomy);
        const wide = await serve({ ...roomy, file: { ...roomy.file, link_bw } });
        if (narrow === undefined || wide === undefined) return;
        expect(makespanNs(wide)).toBeLessThanOrEqual(makespanNs(narrow) * 1.1 + timingNoiseNs);
      }),
      { numRuns: 500, seed: 6 },
    );
  });

  it('one more instance behind the router does not worsen it by more than 10 %', async () => {
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const roomy = uniform(entry, roomyLimits);
        const [node] = roomy.file.nodes;
        const [first] = node.instances as { pd_type?: string; dp_group?: string }[];
        if (first.pd_type !== undefined || first.dp_group !== undefined) return;
        const alike = {
          ...roomy,
          file: { ...roomy.file, nodes: [{ ...node, instances: [first] }] },
        };
        const instances = [first, first];
        const more = { ...roomy, file: { ...roomy.file, nodes: [{ ...node, instances }] } };
        const one = await serve({ ...alike, routing: 'least-loaded' });
        const two = await serve({ ...more, routing: 'least-loaded' });
        if (one === undefined || two === undefined) return;
        expect(makespanNs(two)).toBeLessThanOrEqual(makespanNs(one) * 1.1 + timingNoiseNs);
      }),
      { numRuns: 500, seed: 7 },
    );
  });
});

/**
 * Comparisons across machines leave out what is chaotic in the real engine, too: preemption in a full
 * pool, prefix hits that depend on who came first, follow-ups that come in another order, drafts, and
 * policies that look at queues.
 */
const roomyLimits = {
  kv_blocks: 2000,
  max_num_seqs: 64,
  max_num_batched_tokens: 128,
  enable_prefix_caching: false,
  speculative_tokens: 0,
};

/** About one step: a request that just misses a batch waits for the next. */
const timingNoiseNs = 50_000;

/** With these limits, and links that are all alike: a copy could straddle an NVLink domain. */
function uniform(entry: ServingCase, limits: object): ServingCase {
  const nodes = entry.file.nodes.map((node) => ({
    ...node,
    instances: node.instances.map((instance) => ({ ...instance, ...limits })),
  }));
  const { topology: _topology, ...file } = entry.file;
  const requests = entry.requests.map(({ after: _after, ...request }) => request);
  return { ...entry, file: { ...file, nodes }, requests };
}

/**
 * Every position of a request is computed, in order, from what is known: a step goes on where an
 * earlier one ended (or at a prefix hit, or again from the start after a preemption), and the last
 * one ends just before the last token, which is never computed.
 */
function checkPositions(entry: ServingCase, { backend, run }: Outcome): void {
  const ends = entry.requests.map(() => 0);
  for (const { requests, newTokens, contextTokens } of backend.iterations) {
    requests.forEach((index, i) => {
      ends[index] = Math.max(ends[index], contextTokens[i] + newTokens[i]);
    });
  }
  // The drafts of the last step, and a whole step composed before its end was known.
  const beyond = foresees({ backend, run }) ? 0 : 2 * (mostDrafts + 1);
  entry.requests.forEach(({ promptTokens, outputTokens }, index) => {
    expect(ends[index]).toBeGreaterThanOrEqual(promptTokens + outputTokens - 1);
    expect(ends[index]).toBeLessThanOrEqual(promptTokens + outputTokens - 1 + beyond);
    const state = run.states[index];
    expect(state.firstTokenNs).toBeGreaterThanOrEqual(state.arrivalNs);
    expect(state.finishNs).toBeGreaterThanOrEqual(state.firstTokenNs);
  });
}

/** Whether every step computes exactly one known token per decode: no drafts, no surprising ends. */
function foresees({ run }: Outcome): boolean {
  return run.engines.every(({ instance: { engine } }) => {
    return engine.speculation === undefined && engine.eosShare === 0;
  });
}

/** KV of one token over all layers: 2 x 2 heads x 16 x 2 B x 5 layers. */
const kvBytesPerToken = 640;
/** A pull asks every link of the pair once. */
const askBytes = 256;

/**
 * Every transfer arrives once, with its bytes: all heads of all layers, and a copy for every rank
 * beyond the number of heads; never faster than its ranks' links carry them.
 */
function checkTransfers(entry: ServingCase, { backend, run }: Outcome): void {
  const completions = backend.completions.filter(({ lane }) => lane === transferLane);
  expect(completions).toHaveLength(backend.transfers.length);
  expect(run.transfers.count).toBe(backend.transfers.length);
  const { topology, link_bw: linkGBps } = entry.file;
  for (const transfer of backend.transfers) {
    const done = completions.find(
      ({ instance, iteration }) => instance === transfer.to && iteration === transfer.transfer,
    );
    assert(done !== undefined, 'a transfer without a completion');
    expect(done.finishNs).toBeGreaterThanOrEqual(transfer.releaseNs);
    if (transfer.inStep) continue;
    const [from, to] = [transfer.from, transfer.to].map((index) => run.engines[index].instance);
    const bytes = transfer.tokens * kvBytesPerToken * Math.max(1, to.tp / 2);
    const links = from.npus.length * to.npus.length;
    expect(done.commBytes).toBeGreaterThanOrEqual(bytes);
    expect(done.commBytes).toBeLessThanOrEqual(bytes + links * askBytes);
    if (topology !== undefined) continue;
    const leastNs = Math.floor(bytes / links / ((linkGBps * 2 ** 30) / 1e9));
    expect(done.finishNs - transfer.releaseNs).toBeGreaterThanOrEqual(leastNs);
  }
}
