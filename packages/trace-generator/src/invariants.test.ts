/**
 * Goal: whatever the parallelism and the batch, the programs of a step fit together. Method: random
 * clusters and iterations; dependencies point backwards, every send has its receive, the members of a
 * group issue the same collectives, numbers are whole, and the same input gives the same graphs.
 */
import { type ExecutionGraph, type GraphSet, NodeType } from '@astrolabe/chakra';
import { tinyExperts, tinyModel } from '@astrolabe/config/tiny-model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exampleCluster } from './example-cluster.test-helper.js';
import { exampleLatency, fusedOperators } from './example-latency.test-helper.js';
import { createTraceGenerator, type TraceGenerator } from './generate.js';
import type { Iteration } from './iteration.js';

interface Case {
  readonly instances: readonly object[];
  readonly model: object;
  readonly iterations: readonly Iteration[];
}

const degree = fc.constantFrom(1, 2, 4);
const request = fc.record({ added: fc.integer({ min: 1, max: 600 }), context: fc.nat(3000) });
const batch = fc.array(request, { minLength: 1, maxLength: 12 });
const experts = fc.record({
  routing: fc.constantFrom('uniform', 'proportional', 'round_robin', 'random', 'zipf'),
  dispatch: fc.constantFrom('all_gather', 'all_to_all'),
});

function iterationOf(
  instance: number,
  requests: readonly { added: number; context: number }[],
  waveTokens?: readonly number[],
): Iteration {
  return {
    instance,
    iteration: 0,
    releaseNs: 0,
    requests: requests.map((_, i) => i),
    newTokens: requests.map(({ added }) => added),
    contextTokens: requests.map(({ context }) => context),
    ...(waveTokens === undefined ? {} : { wave: 3, waveTokens: [...waveTokens] }),
  };
}

const dense: fc.Arbitrary<Case> = fc
  .record({ tp: degree, pp: fc.constantFrom(1, 2), weights: fc.constantFrom('npu', 'cpu'), batch })
  .map(({ tp, pp, weights, batch: requests }) => ({
    instances: [{ tp_size: tp, pp_size: pp, placement: { blocks: [{ blocks: '1', weights }] } }],
    model: tinyModel,
    iterations: [iterationOf(0, requests)],
  }));

const pools: fc.Arbitrary<Case> = fc
  .record({
    tp: degree,
    ffn: degree,
    parts: fc.integer({ min: 1, max: 3 }),
    moe: fc.boolean(),
    batch,
  })
  .map(({ tp, ffn, parts, moe, batch: requests }) => ({
    instances: [
      {
        tp_size: tp,
        ep_size: moe ? ffn : 1,
        ffn: {
          hardware: 'other',
          tp_size: ffn,
          npu_mem: { mem_size: 24, mem_bw: 1000 },
          micro_batches: parts,
        },
      },
    ],
    model: moe ? tinyExperts : tinyModel,
    iterations: [iterationOf(0, requests)],
  }));

const waves: fc.Arbitrary<Case> = fc
  .record({ tp: fc.constantFrom(1, 2), pp: fc.constantFrom(1, 2), share: degree, experts })
  .chain((shape) =>
    fc.array(fc.option(batch), { minLength: 2, maxLength: 2 }).map((batches) => {
      const ep = Math.min(shape.share, 2 * shape.tp);
      const waveTokens = batches.map((requests) =>
        requests === null ? 1 : requests.reduce((sum, { added }) => sum + added, 0),
      );
      const one = {
        tp_size: shape.tp,
        pp_size: shape.pp,
        ep_size: ep,
        dp_group: 'A',
        experts: shape.experts,
      };
      return {
        instances: [one, one],
        model: tinyExperts,
        iterations: batches.map((requests, instance) =>
          iterationOf(instance, requests ?? [], ep > 1 ? waveTokens : undefined),
        ),
      };
    }),
  )
  // Without shared experts there is no wave, and an idle instance does not step.
  .filter(({ iterations }) =>
    iterations.every(({ requests, wave }) => wave === 3 || requests.length > 0),
  );

function generatorOf({ instances, model }: Case): TraceGenerator {
  return createTraceGenerator({
    cluster: exampleCluster(instances, model),
    latencyModelFor: () => exampleLatency(fusedOperators),
  });
}

function eachNode(graph: ExecutionGraph, visit: (node: number) => void): void {
  for (let node = 0; node < graph.nodeCount; node++) visit(node);
}

function checkGraph(graph: ExecutionGraph): void {
  eachNode(graph, (node) => {
    for (let d = graph.dataDepStart[node]; d < graph.dataDepStart[node + 1]; d++) {
      expect(graph.dataDep[d]).toBeLessThan(graph.id[node]);
    }
    for (const column of ['durationNs', 'commSizeBytes', 'tensorSizeBytes'] as const) {
      expect(Number.isSafeInteger(graph[column][node])).toBe(true);
    }
  });
}

/** Sends and receives of all programs, in the order of each pair of NPUs and tag. */
function messages(sets: readonly GraphSet[], type: number): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { programs } of sets) {
    for (const { graph } of programs) {
      eachNode(graph, (node) => {
        if (graph.type[node] !== type) return;
        const key = `${graph.commSrc[node]}>${graph.commDst[node]} tag ${graph.commTag[node]}`;
        found.set(key, [...(found.get(key) ?? []), graph.commSizeBytes[node]]);
      });
    }
  }
  return new Map([...found].sort());
}

/** Collectives by NPU and group, in order. */
function collectives(sets: readonly GraphSet[]): Map<string, Map<number, string>> {
  const found = new Map<string, Map<number, string>>();
  for (const { programs } of sets) {
    for (const { npus, graph } of programs) {
      eachNode(graph, (node) => {
        if (graph.type[node] !== NodeType.commColl) return;
        const group = graph.strings[graph.pgName[node]];
        const members = found.get(group) ?? new Map<number, string>();
        const entry = ` ${graph.commType[node]}:${graph.commSizeBytes[node]}`;
        for (const npu of npus) members.set(npu, (members.get(npu) ?? '') + entry);
        found.set(group, members);
      });
    }
  }
  return found;
}

function check(one: Case): void {
  const { generate } = generatorOf(one);
  const sets = one.iterations.map((iteration) => generate(iteration));
  for (const { programs } of sets) for (const { graph } of programs) checkGraph(graph);
  expect(messages(sets, NodeType.commSend)).toEqual(messages(sets, NodeType.commRecv));
  for (const [group, members] of collectives(sets)) {
    const expected = sets.map(({ groups }) => groups[group]).find((npus) => npus !== undefined);
    expect([...members.keys()].sort()).toEqual([...(expected ?? [])].sort());
    expect(new Set(members.values()).size).toBe(1);
  }
  const again = generatorOf(one);
  sets.forEach((set, i) => {
    const copy = again.generate(one.iterations[i]);
    set.programs.forEach(({ graph }, program) => {
      expect(copy.programs[program].graph.durationNs).toEqual(graph.durationNs);
    });
  });
}

describe('programs of a step fit together', () => {
  it.each([
    ['dense, TP and PP, weights off the device', dense],
    ['attention and feed-forward pools', pools],
    ['data-parallel waves with shared experts', waves],
  ] as const)('%s', (_, cases) => {
    fc.assert(fc.property(cases, check), { seed: 5, numRuns: 60 });
  });
});
