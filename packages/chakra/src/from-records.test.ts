/** Goal: `dump` and back is the same trace; hand-written records are checked with their place. */
import { Random } from '@astrolabe/base';
import { describe, expect, test } from 'vitest';
import {
  decodeGraphs,
  diffGraphs,
  type ExecutionGraph,
  encodeGraph,
  encodeGraphs,
  expandGraphSet,
  metadataRecord,
  nodeRecord,
  RecordReader,
} from './index.js';
import { randomGraph } from './random-graph.test-helper.js';

/** The lines of `chakra dump --format ndjson`, with an NPU each. */
function lines(graphs: readonly ExecutionGraph[]): string[] {
  return graphs.flatMap((graph, npu) => [
    JSON.stringify({ kind: 'graph', graph: npu, file: 't', npu, ...metadataRecord(graph) }),
    ...Array.from({ length: graph.nodeCount }, (_, node) =>
      JSON.stringify({ kind: 'node', graph: npu, npu, ...nodeRecord(graph, node) }),
    ),
  ]);
}

function read(text: readonly string[]): ExecutionGraph[] {
  const reader = new RecordReader();
  text.forEach((line, i) => {
    reader.push(JSON.parse(line), `in:${i + 1}`);
  });
  return reader.end();
}

test('500 random graphs there and back', () => {
  const random = new Random(3, 'records');
  for (let k = 0; k < 500; k++) {
    const [graph] = decodeGraphs(encodeGraph(randomGraph(random)));
    const [back] = decodeGraphs(encodeGraphs(read(lines([graph]))));
    expect([...diffGraphs(graph, back)]).toEqual([]);
  }
});

test('a stream is the same bytes again', () => {
  const random = new Random(5, 'stream');
  const programs = [0, 1].map((npu) => ({ npus: [npu], graph: randomGraph(random, false) }));
  const stream = encodeGraphs(
    expandGraphSet({
      instance: 1,
      iteration: 7,
      releaseNs: 99,
      lane: 0,
      groups: { '1': [1, 0] },
      programs,
    }),
  );
  const back = encodeGraphs(read(lines(decodeGraphs(stream))));
  expect(Buffer.from(back).equals(Buffer.from(stream))).toBe(true);
});

describe('by hand', () => {
  test('records without graphs: one for each NPU, which says so', () => {
    const graphs = read([
      '{"npu": 1, "id": 4, "type": "COMP", "durationNs": 1500}',
      '{"npu": 0, "id": 0, "type": "COMM_COLL", "commType": "ALL_GATHER", "commSizeBytes": 8}',
      '{"npu": 1, "id": 5, "type": "COMM_SEND", "dataDeps": [4], "commDst": 0}',
    ]);
    const metadata = graphs.map(metadataRecord);
    expect(metadata.map(({ nodeCount, attributes }) => [nodeCount, attributes[0].value])).toEqual([
      [2, 1],
      [1, 0],
    ]);
    expect(nodeRecord(graphs[0], 1)).toEqual({
      id: 5,
      name: '',
      type: 'COMM_SEND',
      durationNs: 0,
      dataDeps: [4],
      ctrlDeps: [],
      commDst: 0,
    });
  });

  const node = '"id": 0, "type": "COMP"';
  test.each([
    ['a typo', `{${node}, "durationUs": 3}`, 'in:1: unknown key "durationUs"'],
    ['a type', '{"id": 0, "type": "GEMM"}', 'in:1: type "GEMM"'],
    ['a collective', '{"id": 0, "type": "COMM_COLL", "commType": "AR"}', 'in:1: commType "AR"'],
    [
      'a number beyond its column',
      `{${node}, "commTag": 4294967296}`,
      'in:1: commTag is too large',
    ],
    [
      'a kind',
      `{${node}, "extra": [{"name": "a", "kind": "int", "value": 1}]}`,
      'in:1: extra[0].kind',
    ],
    [
      'a value',
      `{${node}, "extra": [{"name": "a", "kind": "int64_val", "value": "x"}]}`,
      'in:1: attribute a: not a value of int64_val',
    ],
  ])('%s is refused with its line', (_, line, message) => {
    expect(() => read([line])).toThrow(message);
  });

  test('a graph that begins twice', () => {
    const graph = '{"kind": "graph", "graph": 0}';
    expect(() => read([graph, graph])).toThrow('in:2: a second record of its graph');
  });
});

describe('values of attributes', () => {
  const record = (extra: object): string =>
    JSON.stringify({ id: 0, type: 'COMP', extra: [{ name: 'x', ...extra }] });

  test.each([
    ['uint32_val', -1],
    ['fixed64_val', -1],
    ['int32_val', 2 ** 31],
    ['sfixed32_list', [-(2 ** 31) - 1]],
    ['int64_val', '9223372036854775808'],
    ['uint64_val', '18446744073709551616'],
    ['int64_val', ''],
    ['int64_val', true],
    ['int64_val', 0.5],
    ['double_val', 'abc'],
    ['double_val', null],
    ['string_val', undefined],
  ])('%s %j is refused', (kind, value) => {
    expect(() => read([record({ kind, value })])).toThrow(
      `in:1: attribute x: not a value of ${kind}`,
    );
  });

  test('an attribute without a value, and the largest there are', () => {
    const values = [
      { kind: 'none', value: undefined },
      { kind: 'uint64_val', value: 2n ** 64n - 1n },
      { kind: 'sint64_val', value: -(2n ** 63n) },
      { kind: 'int32_val', value: -(2 ** 31) },
      { kind: 'double_val', value: Number.NEGATIVE_INFINITY },
    ];
    for (const { kind, value } of values) {
      const isText = typeof value === 'bigint' || value === Number.NEGATIVE_INFINITY;
      const graphs = read([record({ kind, value: isText ? String(value) : value })]);
      const [graph] = decodeGraphs(encodeGraphs(graphs));
      expect(graph.extra.get(0)?.[0]).toMatchObject({ name: 'x', kind, value });
    }
  });
});
