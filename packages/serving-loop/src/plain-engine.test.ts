/**
 * The engine against a plain one, on random requests and limits: the same steps, the same tokens at the
 * same time, the same preemptions and prefix hits; alone, as ranks that launch together, as a pair.
 */

import type { Request } from '@astrolabe/workload';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clusterOf,
  exampleModel,
  expertModel,
  FixedMachine,
  runFixed,
} from './machine.test-helper.js';
import { requestResults } from './metrics.js';
import type { PlainOptions } from './plain-blocks.test-helper.js';
import type { PlainRun } from './plain-engine.test-helper.js';
import { runPlainGroup, runPlainPair } from './plain-runs.test-helper.js';
import type { RunResult } from './run-result.js';

const stepNs = 10;

/** Times that never fall together. */
const times = { prefillNs: 10_007_003, decodeNs: 7_003_109, transferNs: 2_000_531 };

const options: fc.Arbitrary<PlainOptions> = fc
  .record({
    asynchronous: fc.boolean(),
    seats: fc.integer({ min: 1, max: 4 }),
    budget: fc.constantFrom(4, 7, 8, 16, 64),
    threshold: fc.constantFrom(0, 0, 3, 4),
    blockSize: fc.constantFrom(2, 4),
    usableBlocks: fc.integer({ min: 7, max: 24 }),
    caching: fc.boolean(),
    chunked: fc.constantFrom(true, true, true, false),
    reserveWhole: fc.boolean(),
    stepNs: fc.constant(stepNs),
  })
  // Seats are never more than tokens.
  .map((drawn) => ({ ...drawn, seats: Math.min(drawn.seats, drawn.budget) }));

const shape = {
  gapNs: fc.constantFrom(0, 0, 3, 10, 25),
  promptTokens: fc.integer({ min: 1, max: 20 }),
  outputTokens: fc.integer({ min: 1, max: 9 }),
  shared: fc.constantFrom(0, 0, 4, 8, 13, 20),
};
const workload = workloadOf(shape);
/** Long answers that have nothing in common. */
const strangers = workloadOf({
  ...shape,
  outputTokens: fc.integer({ min: 1, max: 25 }),
  shared: fc.constant(0),
});

function workloadOf(drawnShape: typeof shape): fc.Arbitrary<Request[]> {
  return fc.array(fc.record(drawnShape), { minLength: 1, maxLength: 7 }).map((drawn) => {
    let arrivalNs = 0;
    return drawn.map(({ gapNs, shared, ...rest }, id): Request => {
      arrivalNs += gapNs;
      const tokens = Math.min(shared, rest.promptTokens, drawn[0].promptTokens);
      const prefix = id > 0 && tokens > 0 ? { prefix: { of: 0, tokens } } : {};
      return { id, arrivalNs, ...rest, ...prefix };
    });
  });
}

function limitsOf(plain: PlainOptions): object {
  return {
    max_num_seqs: plain.seats,
    max_num_batched_tokens: plain.budget,
    long_prefill_token_threshold: plain.threshold,
    block_size: plain.blockSize,
    kv_blocks: plain.usableBlocks + 1,
    enable_prefix_caching: plain.caching,
    enable_chunked_prefill: plain.chunked,
    reserve_full_isl: plain.reserveWhole,
    async_scheduling: plain.asynchronous,
  };
}

/** Steps of one instance as the plain engine tells them. */
function stepsOf(machine: FixedMachine, instance: number, durationNs: number): string[] {
  let freeNs = 0;
  const steps = machine.submitted.filter((step) => step.instance === instance);
  return steps.map(({ releaseNs, requests, newTokens, contextTokens, waveTokens }) => {
    const startNs = Math.max(releaseNs, freeNs);
    freeNs = startNs + durationNs;
    const work = requests.map((index, i) => `${index}:${newTokens[i]}+${contextTokens[i]}`);
    const tokens = waveTokens === undefined ? '' : ` of ${waveTokens}`;
    return `@${startNs} ${work.join(' ')}${tokens}`;
  });
}

const numbersOf = (result: RunResult): number[][] =>
  requestResults(result).map((row) => [
    row.firstTokenNs ?? -1,
    row.finishNs ?? -1,
    row.preemptions,
    row.prefixHitTokens,
  ]);

/** The real engines, one after the other in turn for the requests; several share experts. */
async function runReal(
  requests: readonly Request[],
  plain: PlainOptions,
  ranks: number,
  layers: object = {},
): Promise<PlainRun[]> {
  const backend = new FixedMachine({ stepNs });
  const group = ranks > 1 ? { dp_group: 'A', ep_size: ranks } : {};
  const rank = { ...limitsOf(plain), ...group };
  const model = { ...(ranks > 1 ? expertModel : exampleModel), ...layers };
  const cluster = clusterOf(new Array(ranks).fill(rank), { model });
  const numbers = numbersOf(await runFixed({ cluster, requests, backend }));
  return Array.from({ length: ranks }, (_, own) => ({
    steps: stepsOf(backend, own, stepNs),
    requests: numbers.filter((_row, index) => index % ranks === own),
  }));
}

/** A real prefill and a real decode instance; the numbers are those of requests as a whole. */
async function runRealPair(
  requests: readonly Request[],
  plain: PlainOptions,
  layers: object,
): Promise<object> {
  const { prefillNs, decodeNs, transferNs } = times;
  const backend = new FixedMachine({ stepNs: [prefillNs, decodeNs], transferNs });
  const roles = ['prefill', 'decode'];
  const cluster = clusterOf(
    roles.map((role) => ({ ...limitsOf(plain), pd_type: role })),
    { model: { ...exampleModel, ...layers } },
  );
  const result = await runFixed({ cluster, requests, backend });
  const steps = [stepsOf(backend, 0, prefillNs), stepsOf(backend, 1, decodeNs)];
  return { steps, requests: numbersOf(result) };
}

/** Limits under which every request can be served. */
function servable(requests: readonly Request[], drawn: PlainOptions): PlainOptions {
  const longest = Math.max(...requests.map((it) => it.promptTokens + it.outputTokens - 1));
  const usableBlocks = Math.max(drawn.usableBlocks, Math.ceil(longest / drawn.blockSize));
  // Prompts that stay whole must fit into a step, with what a preempted one has gained.
  const budget = drawn.chunked ? drawn.budget : Math.max(drawn.budget, longest);
  return { ...drawn, usableBlocks, budget };
}

/** @returns how many of the runs preempted, and how many found prefixes */
async function compare(ranks: number, numRuns: number): Promise<number[]> {
  let preempting = 0;
  let hitting = 0;
  await fc.assert(
    fc.asyncProperty(workload, options, async (requests, drawn) => {
      const plain = servable(requests, drawn);
      const shares = Array.from({ length: ranks }, (_, rank) =>
        requests.filter((_request, index) => index % ranks === rank),
      );
      const wanted = runPlainGroup(shares, plain);
      expect(await runReal(requests, plain, ranks)).toEqual(wanted);
      const rows = wanted.flatMap((run) => run.requests);
      if (rows.some(([, , preemptions]) => preemptions > 0)) preempting++;
      if (rows.some(([, , , hits]) => hits > 0)) hitting++;
    }),
    { numRuns, seed: 1 },
  );
  return [preempting, hitting];
}

/** Kinds of layers, and the windows of the groups that they make: those without one first. */
const layerKinds: fc.Arbitrary<{ layers: object; windows: number[] }> = fc
  .record({
    kinds: fc.constantFrom('sf', 'ssf', 'sssf', 'sff', 'ssff', 's'),
    window: fc.integer({ min: 1, max: 18 }),
  })
  .map(({ kinds, window }) => {
    const groups = kinds === 'ssff' ? 'sf' : kinds;
    const windows = [...groups].map((kind) => (kind === 's' ? window : Number.POSITIVE_INFINITY));
    const layer_types = [...kinds].map((kind) => (kind === 's' ? 'sliding' : 'full'));
    const layers = {
      sliding_window: window,
      num_hidden_layers: kinds.length,
      layer_types: layer_types.map((type) => `${type}_attention`),
    };
    return { layers, windows: windows.sort((a, b) => b - a) };
  });

const allWindowed = { layer_types: ['sliding_attention', 'sliding_attention'] };

describe('steps and tokens are those of a plain engine', () => {
  it.each([
    ['with common beginnings', workload, 1500, true],
    ['with nothing in common', strangers, 800, false],
  ])('of layers with and without a window, requests %s', async (_, drawn, numRuns, finds) => {
    let preempting = 0;
    let hitting = 0;
    await fc.assert(
      fc.asyncProperty(drawn, options, layerKinds, async (requests, limits, kinds) => {
        const { windows, layers } = kinds;
        const one = servable(requests, limits);
        const longest = Math.max(...requests.map((it) => it.promptTokens + it.outputTokens - 1));
        const least = windows.map((window) =>
          Math.min(
            Math.ceil(longest / one.blockSize),
            Math.ceil((window - 1 + one.budget) / one.blockSize) + 1,
          ),
        );
        const usableBlocks = Math.max(
          limits.usableBlocks,
          least.reduce((sum, blocks) => sum + blocks, 0),
        );
        const plain = { ...one, usableBlocks, windows };
        const wanted = runPlainGroup([requests], plain);
        expect(await runReal(requests, plain, 1, layers)).toEqual(wanted);
        const [{ requests: rows }] = wanted;
        if (rows.some(([, , preemptions]) => preemptions > 0)) preempting++;
        if (rows.some(([, , , hits]) => hits > 0)) hitting++;
      }),
      { numRuns, seed: 1 },
    );
    expect(preempting).toBeGreaterThan(100);
    expect(hitting > 100).toBe(finds);
  });

  it.each([
    [1, 800, 100],
    [2, 500, 20],
    [3, 200, 5],
  ])('%i engines that launch together', async (ranks, numRuns, least) => {
    const [preempting, hitting] = await compare(ranks, numRuns);
    expect(Math.min(preempting, hitting)).toBeGreaterThan(least);
  });

  it('of a pair that hands over, whose layers may all have a window', async () => {
    let preempting = 0;
    const windowOf = fc.option(fc.integer({ min: 1, max: 18 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(workload, options, windowOf, async (drawnRequests, drawn, window) => {
        const windows = window === undefined ? {} : { windows: [window] };
        const plain = { ...servable(drawnRequests, drawn), ...windows };
        const layers = window === undefined ? {} : { ...allWindowed, sliding_window: window };
        const requests = drawnRequests.map((request) => ({
          ...request,
          arrivalNs: request.arrivalNs * 1_000_000,
        }));
        const [prefill, decode] = runPlainPair(requests, plain, times);
        expect(await runRealPair(requests, plain, layers)).toEqual({
          steps: [prefill.steps, decode.steps],
          requests: decode.requests.map(([first, last, preemptions], i) => {
            const [, , before, hits] = prefill.requests[i];
            return [first, last, before + preemptions, hits];
          }),
        });
        if (decode.requests.some(([, , preemptions]) => preemptions > 0)) preempting++;
      }),
      { numRuns: 800, seed: 1 },
    );
    expect(preempting).toBeGreaterThan(20);
  });
});
