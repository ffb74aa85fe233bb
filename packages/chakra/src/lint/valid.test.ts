/**
 * Goal: valid traces are passed in silence. Method: the unbroken small run, 200 random runs, a stream
 * of iterations, and the reference workloads where present.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Random } from '@astrolabe/base';
import { describe, expect, test } from 'vitest';
import { decodeGraph, decodeGraphs } from '../decode.js';
import { encodeGraphs } from '../encode.js';
import type { ExecutionGraph, GraphSet } from '../graph.js';
import { GraphBuilder } from '../graph-builder.js';
import { expandGraphSet } from '../graph-set.js';
import { CollectiveType, NodeType, TensorLocation } from '../node-type.js';
import { writeStreamMetadata } from '../stream-metadata.js';
import { formatFinding, type LintInput, type LintRule } from './finding.js';
import { graphPlace, lint } from './lint.js';
import { also, build, drafts, groups, run } from './run.test-helper.js';

const { allReduce, allToAll } = CollectiveType;

describe('valid traces', () => {
  test('the unbroken run', () => {
    expect(lint(run(), { groups }).findings).toEqual([]);
    expect(lint(run(), { groups, target: 'astra-sim' }).findings).toEqual([]);
  });

  test('memory nodes with places, for the fork', () => {
    const inputs = run((_, all) => {
      for (const nodes of all) {
        also(nodes, 'load', (b, n) => b.setTensorLocation(n, TensorLocation.remote));
        also(nodes, 'store', (b, n) => b.setTensorLocation(n, TensorLocation.cxl));
      }
    });
    expect(lint(inputs, { groups, target: 'llmservingsim' }).findings).toEqual([]);
  });

  test('collectives over one dimension of a 2 x 2 machine', () => {
    const inputs = run((_, all) => {
      for (const [npu, nodes] of all.entries()) {
        // Columns 0,2 and 1,3 run different sizes along dimension 1.
        also(nodes, 'exchange', (b, n) => {
          b.setCollective(n, allToAll, 100 + (npu % 2));
          b.setInvolvedDims(n, 2, 2);
        });
      }
    });
    expect(lint(inputs, { groups, npusPerDim: [2, 2] }).findings).toEqual([]);
    expect(lint(inputs, { groups }).findings).toEqual([]);
    // Rows 0,1 and 2,3 disagree along dimension 0.
    const rows = run((_, all) => {
      for (const [npu, nodes] of all.entries()) {
        also(nodes, 'exchange', (b, n) => {
          b.setCollective(n, allToAll, 100 + (npu % 2));
          b.setInvolvedDims(n, 1, 2);
        });
      }
    });
    const { findings } = lint(rows, { groups, npusPerDim: [2, 2] });
    expect(findings.map(({ rule }) => rule)).toEqual(['collective-size', 'collective-size']);
  });

  test('200 random runs: layered graphs with collectives and messages in one order', () => {
    const random = new Random(5, 'lint');
    for (let trial = 0; trial < 200; trial++) {
      const npuCount = 2 + random.below(4);
      const inputs = validRun(random, npuCount, trial);
      const { findings } = lint(inputs);
      expect(findings.map(formatFinding), `trial ${trial}`).toEqual([]);
    }
  });

  test('a stream of iterations, through the codec', () => {
    const stream = encodeGraphs(
      [0, 1, 2].flatMap((iteration) => {
        const set: GraphSet = {
          instance: 0,
          iteration,
          releaseNs: 0,
          lane: 0,
          groups,
          programs: [0, 1, 2, 3].map((npu) => ({ npus: [npu], graph: build(drafts(npu)) })),
        };
        return expandGraphSet(set);
      }),
    );
    const inputs = decodeGraphs(stream).map((graph, i) => ({
      graph,
      npu: i % 4,
      at: graphPlace('s', i, graph),
    }));
    expect(lint(inputs).findings).toEqual([]);
    expect(inputs[5].at).toBe('s: instance 0 iteration 1 NPU 1');
    for (const npuCount of [3, 4, 5]) {
      const found = lint(inputs, { npuCount }).findings.map(formatFinding);
      expect(found.length).toBe(npuCount === 4 ? 0 : 3);
      if (npuCount !== 4) expect(found[0]).toContain(`graphs of 4 NPUs, expected ${npuCount}`);
    }
    const cut = lint(inputs.slice(0, -1)).findings.map(formatFinding);
    expect(cut[0]).toContain('graphs of 3 NPUs where npu_count says 4');
  });
});

/** NPUs walk the same list of steps; each step is compute, a collective of all, or a message. */
function validRun(random: Random, npuCount: number, iteration: number): LintInput[] {
  const builders = Array.from({ length: npuCount }, () => new GraphBuilder());
  const link = (npu: number, node: number): void => {
    const builder = builders[npu];
    if (node > 0) builder.addDep(node, node - 1 - random.below(Math.min(node, 1)));
  };
  for (let step = 0; step < 2 + random.below(20); step++) {
    const kind = random.below(3);
    const from = random.below(npuCount);
    const to = (from + 1 + random.below(npuCount - 1)) % npuCount;
    for (const [npu, builder] of builders.entries()) {
      if (kind === 0) {
        const node = builder.addNode(NodeType.comp, 'k');
        builder.setDuration(node, 1 + random.below(9999));
        link(npu, node);
      } else if (kind === 1) {
        const node = builder.addNode(NodeType.commColl, 'c');
        builder.setCollective(node, allReduce, 64 + step);
        link(npu, node);
      } else if (npu === from || npu === to) {
        const node = builder.addNode(npu === from ? NodeType.commSend : NodeType.commRecv, 'm');
        builder.setPointToPoint(node, from, to, step % 3, 8);
        link(npu, node);
      }
    }
  }
  return builders.map((builder, npu) => {
    const metadata = writeStreamMetadata({
      npu,
      iteration,
      npuCount,
      nodeCount: builder.nodeCount,
    });
    return { npu, at: `r.${npu}`, graph: builder.finish(metadata) };
  });
}

const golden = fileURLToPath(
  new URL('../../../../../shared/refdata/astra_golden/', import.meta.url),
);
const hasGolden = existsSync(golden);

interface GoldenCase {
  readonly id: string;
  readonly workload: string;
  readonly spmd: boolean;
  readonly network: { readonly npus_count: readonly number[] };
  readonly groups?: Readonly<Record<string, readonly number[]>>;
  readonly expect: { readonly outcome: string };
}

describe.skipIf(!hasGolden)('the reference workloads (needs ../shared)', () => {
  /** Run to the end in the real simulator, and yet contain what lint is for. */
  const planted: Record<string, LintRule> = {
    p2p_send_no_recv: 'unmatched-send',
    p2p_self: 'self-message',
    p2p_self_backs: 'self-message',
    coll_AR_0: 'zero-size',
    coll_A2A_0: 'zero-size',
    cycle2: 'cycle',
  };

  test('silent on those that run, but for the planted', () => {
    const cases = gunzipSync(readFileSync(`${golden}cases.jsonl.gz`))
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as GoldenCase);
    const loaded = new Map<string, ExecutionGraph>();
    const load = (path: string): ExecutionGraph => {
      const known = loaded.get(path);
      if (known !== undefined) return known;
      const graph = decodeGraph(new Uint8Array(readFileSync(path)), { at: path });
      loaded.set(path, graph);
      return graph;
    };
    const found: Record<string, string> = {};
    const done = new Set<string>();
    for (const one of cases) {
      const dims = one.network.npus_count;
      const key = `${one.workload} ${dims} ${JSON.stringify(one.groups)}`;
      if (one.expect.outcome !== 'ok' || done.has(key)) continue;
      done.add(key);
      const inputs = Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, npu) => {
        const rank = one.spmd ? '' : `.${npu}`;
        const path = `${golden}workloads/${one.workload}${rank}.et`;
        return { npu, graph: load(path), at: `${one.workload}.${npu}` };
      });
      const report = lint(inputs, { groups: one.groups ?? {}, npusPerDim: dims });
      if (report.findings.length > 0) found[one.workload] = report.findings[0].rule;
    }
    expect(done.size).toBeGreaterThan(300);
    expect(found).toEqual(planted);
  });
});
