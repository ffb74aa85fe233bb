/**
 * Measured links end to end, by hand: what a table changes in a step is the number of its collectives
 * times (table - network), nothing else; and links fitted to the network's own times are its links.
 */
import { existsSync } from 'node:fs';
import { UserError } from '@astrolabe/base';
import { readText } from '@astrolabe/base/cli';
import { CollectiveType, GraphBuilder, NodeType } from '@astrolabe/chakra';
import {
  type Cluster,
  type MeasuredKind,
  measuredKinds,
  parseModel,
  resolveCluster,
  SizeCurve,
  type SizeTable,
} from '@astrolabe/config';
import { tinyModel } from '@astrolabe/config/tiny-model';
import { CollectiveTable, type LatencyModel } from '@astrolabe/profile';
import { fitLink, importCsvFiles, linkShapes, sizeTableOf } from '@astrolabe/profiler-ingest';
import { formatSummary, requestResults, runServing, summarise } from '@astrolabe/serving-loop';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clusterOf as anyClusterOf,
  formulas,
  type ServingCase,
  servingCase,
} from '../property/arbitrary-serving.js';
import { InProcess, runOn } from '../support/in-process.js';

const layers = 3;
const hiddenBytes = 64 * 2;
const model = { ...tinyModel, num_hidden_layers: layers };

/** Every operator takes 1000 ns, whatever it computes. */
const constant: LatencyModel = {
  ...formulas,
  denseNs: () => 1000,
  perSequenceNs: () => 1000,
  attentionNs: () => 1000,
};

const memoryGBps = 1000;
/** 1 GB/s of 2^30 behind 1000 ns. */
const link = { bw: 1, latencyNs: 1000 };
const endpointNs = 10;

function clusterOf(instance: object, table?: SizeTable): Cluster {
  const entry = {
    model_name: 'model',
    hardware: 'example',
    npu_mem: { mem_size: 24, mem_bw: memoryGBps },
    kv_blocks: 1000,
    async_scheduling: false,
    ...instance,
  };
  const file = {
    link_bw: link.bw,
    link_latency: link.latencyNs,
    ...(table === undefined ? {} : { measured_links: [{ file: 'links.json' }] }),
    nodes: [{ cpu_mem: { mem_size: 64, mem_bw: 100 }, instances: [entry] }],
  };
  return resolveCluster(file, 'example', {
    findModel: (name) => parseModel(name, model, 'example'),
    readSizeTable: () => table as SizeTable,
  });
}

type Row = readonly [kind: MeasuredKind, n: number, sizes: number[], times: number[]];

function tableOf(...curves: readonly Row[]): SizeTable {
  return {
    source: 'made in the test',
    curves: curves.map(([collective, participants, size_bytes, duration_ns]) => ({
      collective,
      participants,
      size_bytes,
      duration_ns,
    })),
  };
}

/** One request; by default of one prompt token, so that every step has one token. */
async function serve(cluster: Cluster, promptTokens = 1) {
  const backend = new InProcess(cluster, () => constant, { mostTurns: 10_000 });
  const run = await runOn(backend, {
    cluster,
    requests: [{ id: 0, arrivalNs: 0, promptTokens, outputTokens: 5 }],
  });
  const results = requestResults(run);
  const summary = summarise(run, results, { fitted: [], lookups: undefined });
  return { tpotNs: results[0].tpotNs as number, summary, backend };
}

/**
 * Ring all-reduce of the machine: 2 (n - 1) messages of a share, a packet's endpoint before each and
 * behind the last, and n - 1 reductions of three passes over memory.
 */
function ringNs(n: number, sizeBytes: number): number {
  const sends = 2 * (n - 1);
  const share = Math.trunc(sizeBytes / n);
  const hopNs = Math.trunc(link.latencyNs + share / (link.bw * 1.073741824));
  const reductionNs = 3 * Math.trunc(share / memoryGBps);
  return (sends + 1) * endpointNs + sends * hopNs + (n - 1) * reductionNs;
}

describe('a table in place of the ring', () => {
  it.each([2, 4])('TP %i: TPOT changes by layers x 2 x (table - ring)', async (tp) => {
    const measured = tableOf(['all_reduce', tp, [64, 192], [4000, 6000]]);
    const plain = await serve(clusterOf({ tp_size: tp }));
    const table = await serve(clusterOf({ tp_size: tp }, measured));
    // Half way between the two sizes. Two a layer, and one behind the embedding.
    const perStepNs = (2 * layers + 1) * (5000 - ringNs(tp, hiddenBytes));
    expect(table.tpotNs - plain.tpotNs).toBe(perStepNs);
    // Five steps; the gather of the logits stays with the network.
    expect(table.summary.trust.measuredLinks).toMatchObject({
      tables: ['links.json: made in the test'],
      communications: { measured: 5 * (2 * layers + 1), beyond: 0, simulated: 5 },
      errorPct: null,
    });
    expect(plain.summary.trust.measuredLinks).toBeNull();
  });

  it('below its smallest size keeps the floor, above its largest goes on and says so', async () => {
    const floor = tableOf(['all_reduce', 2, [1024, 2048], [7000, 9000]]);
    const plain = await serve(clusterOf({ tp_size: 2 }));
    const small = await serve(clusterOf({ tp_size: 2 }, floor));
    const count = 2 * layers + 1;
    expect(small.tpotNs - plain.tpotNs).toBe(count * (7000 - ringNs(2, hiddenBytes)));
    const short = tableOf(['all_reduce', 2, [32, 64], [3000, 4000]]);
    const large = await serve(clusterOf({ tp_size: 2 }, short));
    // 128 bytes: another 64 at 1000 ns for 32.
    expect(large.tpotNs - plain.tpotNs).toBe(count * (6000 - ringNs(2, hiddenBytes)));
    expect(formatSummary(large.summary)).toMatch(
      /links {9}35 collectives and messages timed by the table, 35 of them \(100\.00 %\) beyond/,
    );
  });

  it('all-gathers too where they are measured', async () => {
    const reduce: Row = ['all_reduce', 2, [64, 192], [4000, 6000]];
    const gather: Row = ['all_gather', 2, [100, 200], [2500, 2500]];
    const without = await serve(clusterOf({ tp_size: 2 }, tableOf(reduce)));
    const both = await serve(clusterOf({ tp_size: 2 }, tableOf(reduce, gather)));
    // The logits: 100 words of 2 bytes over two ranks; one message behind two endpoints.
    const gatherNs = 2 * endpointNs + Math.trunc(link.latencyNs + 100 / 1.073741824);
    expect(both.tpotNs - without.tpotNs).toBe(2500 - gatherNs);
  });

  it('messages between stages', async () => {
    const instance = { tp_size: 1, pp_size: 2 };
    const plain = await serve(clusterOf(instance));
    const measured = tableOf(['send_recv', 2, [128, 512], [500, 1500]]);
    const table = await serve(clusterOf(instance, measured));
    const networkNs = Math.trunc(link.latencyNs + (2 * hiddenBytes) / 1.073741824);
    // Hidden state and residual, 256 bytes: a third of the way.
    expect(table.tpotNs - plain.tpotNs).toBe(Math.round(500 + 1000 / 3) - networkNs);
    expect(table.summary.trust.measuredLinks?.communications).toEqual({
      measured: 5,
      beyond: 0,
      simulated: 0,
    });
  });

  it("the network's own times as a table change nothing", async () => {
    const sizes = [100, hiddenBytes];
    const times = sizes.map((size) => ringNs(4, size));
    const curve = tableOf(['all_reduce', 4, sizes, times]);
    const plain = await serve(clusterOf({ tp_size: 4 }));
    const table = await serve(clusterOf({ tp_size: 4 }, curve));
    expect(table.tpotNs).toBe(plain.tpotNs);
  });
});

const network = new URL('../../../shared/refdata/vidur/profiling/network', import.meta.url)
  .pathname;

describe.skipIf(!existsSync(network))("Vidur's tables in a run (needs ../shared)", () => {
  const reading = { tp: 1, shape: undefined, clockGHz: undefined };
  const names = { hardware: 'any', model: 'any', dtype: 'any' };
  const read = (machine: string) => {
    const at = `${network}/${machine}/all_reduce.csv.gz`;
    return new CollectiveTable(importCsvFiles([{ at, text: readText(at) }], names, reading));
  };

  it.each([
    ['a100_dgx', 2],
    ['a100_dgx', 4],
    ['h100_dgx', 4],
    ['a100_pairwise_nvlink', 4],
    ['h100_pairwise_nvlink', 2],
  ])('%s, TP %i: a prompt of 384 tokens takes what was measured', async (machine, tp) => {
    const measured = read(machine);
    const table = sizeTableOf({ curves: measured.curves, source: machine }, false);
    const firstStepNs = async (cluster: Cluster): Promise<number> => {
      const { backend } = await serve(cluster, 384);
      const [{ startNs, finishNs }] = backend.completions;
      return finishNs - startNs;
    };
    const sizeBytes = 384 * hiddenBytes;
    const plainNs = await firstStepNs(clusterOf({ tp_size: tp }));
    const tableNs = await firstStepNs(clusterOf({ tp_size: tp }, table));
    const collectiveNs = measured.timeNs('all_reduce', tp, tp, sizeBytes);
    const count = 2 * layers + 1;
    expect(tableNs - plainNs).toBe(count * (collectiveNs - ringNs(tp, sizeBytes)));
  });
});

describe('links fitted to measurements', () => {
  const sizes = Array.from({ length: 12 }, (_, i) => 65_536 * 2 ** i);
  const types = {
    all_reduce: CollectiveType.allReduce,
    all_gather: CollectiveType.allGather,
    reduce_scatter: CollectiveType.reduceScatter,
    all_to_all: CollectiveType.allToAll,
  } as const;

  /** What the machine of a cluster file takes for one collective. */
  function machineNs(type: number, n: number, sizeBytes: number): number {
    const builder = new GraphBuilder();
    builder.setCollective(builder.addNode(NodeType.commColl, 'collective'), type, sizeBytes);
    const machine = createMachine(clusterMachine(clusterOf({ tp_size: n })));
    const npus = Array.from({ length: n }, (_, npu) => npu);
    const programs = [{ npus, graph: builder.finish() }];
    machine.submit({ instance: 0, iteration: 0, releaseNs: 0, lane: 0, groups: {}, programs });
    return machine.runUntil(Number.MAX_SAFE_INTEGER)?.finishNs as number;
  }

  const kinds = Object.keys(types) as (keyof typeof types)[];
  it.each(kinds.flatMap((kind) => [2, 4].map((n) => [kind, n] as const)))(
    "of the machine's own %s of %i are its links",
    (operator, n) => {
      const times = sizes.map((size) => machineNs(types[operator], n, size));
      const curve = new SizeCurve(sizes, times);
      const [shape] = linkShapes(operator, n);
      const fit = fitLink({ operator, workers: n, devicesPerNode: n, curve }, shape, memoryGBps);
      expect(Math.abs(fit.latencyNs - link.latencyNs)).toBeLessThan(10);
      expect(Math.abs(fit.bandwidthGBps / link.bw - 1)).toBeLessThan(0.001);
      expect(fit.decades.every(({ meanAbsError }) => meanAbsError < 0.001)).toBe(true);
    },
  );
});

describe('random clusters with a table', () => {
  const groups = [2, 3, 4, 6, 8].flatMap((n) =>
    [1, 2, 3, 4, 6, 8].filter((perNode) => n % perNode === 0).map((perNode) => ({ n, perNode })),
  );
  const table: SizeTable = {
    source: 'any',
    curves: measuredKinds.flatMap((collective) =>
      groups
        .filter(({ n }) => collective !== 'send_recv' || n === 2)
        .map(({ n, perNode }) => ({
          collective,
          participants: n,
          devices_per_node: perNode,
          size_bytes: [64, 1024, 4096],
          duration_ns: [900 * n, 1000 * n, 5000 * n],
        })),
    ),
  };

  /** Undefined: refused with a reason. */
  async function completions(entry: ServingCase, fastPaths: boolean) {
    try {
      const file = { ...entry.file, measured_links: [{ file: 'any.json' }] };
      const cluster = anyClusterOf(file, table);
      const backend = new InProcess(cluster, () => formulas, { fastPaths, mostTurns: 20_000 });
      const { requests, routing, seed } = entry;
      const hostTerms = { frontEndDelayNs: 0, warmUpNs: 0 };
      await runServing({ cluster, requests, backend, routing, seed, hostTerms, intervalNs: 1e6 });
      return backend.completions;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.message).not.toContain('any.json');
      return undefined;
    }
  }

  it('the fast paths give the nanoseconds of the plain ones', async () => {
    let used = 0;
    await fc.assert(
      fc.asyncProperty(servingCase, async (entry) => {
        const fast = await completions(entry, true);
        expect(await completions(entry, false)).toEqual(fast);
        if (fast?.some((one) => (one.communications?.measured ?? 0) > 0)) used++;
      }),
      { numRuns: 500, seed: 11 },
    );
    expect(used).toBeGreaterThan(100);
  });
});
