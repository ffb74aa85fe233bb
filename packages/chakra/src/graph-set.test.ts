/**
 * Goal: graphs are built as told, sets go to per-NPU graphs and back, metadata says what it must.
 * Method: small graphs worked by hand.
 */
import { describe, expect, test } from 'vitest';
import {
  Attr,
  advanceGraph,
  advanceOf,
  decodeGraphs,
  type ExecutionGraph,
  encodeGraphs,
  expandGraphSet,
  GraphBuilder,
  type GraphSet,
  GraphSetGatherer,
  NodeType,
  readStreamMetadata,
  writeStreamMetadata,
} from './index.js';

describe('the builder', () => {
  test('edges added in any order come out by node, each in order of addition', () => {
    const builder = new GraphBuilder(2);
    for (let i = 0; i < 9; i++) builder.addNode(NodeType.comp, 'k');
    builder.addDep(5, 4);
    builder.addDep(2, 1);
    builder.addDep(5, 0);
    builder.addCtrlDepId(1, 77);
    const graph = builder.finish();
    expect([...graph.dataDepStart]).toEqual([0, 0, 0, 1, 1, 1, 3, 3, 3, 3]);
    expect([...graph.dataDep]).toEqual([1, 4, 0]);
    expect([...graph.ctrlDepStart]).toEqual([0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect([...graph.ctrlDep]).toEqual([77]);
  });

  test('reset forgets every column and keeps strings; finished graphs stay', () => {
    const builder = new GraphBuilder(2);
    const name = builder.intern('gemm');
    const node = builder.addNode(NodeType.commColl, name);
    builder.setCollective(node, 2, 64);
    builder.setGroup(node, '1');
    builder.addExtra(node, { name: 'rf_id', kind: 'int64_val', value: 3 });
    const first = builder.finish();
    builder.reset();
    builder.addNode(NodeType.comp, name);
    const second = builder.finish();
    builder.reset();
    builder.addExtra(builder.addNode(NodeType.comp, name), {
      name: 'rf_id',
      kind: 'int64_val',
      value: 4,
    });
    expect(second.strings[second.name[0]]).toBe('gemm');
    expect([second.present[0], second.commSizeBytes[0], second.pgName[0]]).toEqual([0, 0, 0]);
    expect(second.extra.size).toBe(0);
    expect(first.present[0]).toBe(Attr.commType | Attr.commSize | Attr.pgName);
    expect(first.extra.get(0)![0].value).toBe(3);
  });

  test('a view shows the builder as it is', () => {
    const builder = new GraphBuilder();
    builder.setDuration(builder.addNode(NodeType.comp, 'k'), 5);
    expect([...builder.view().durationNs]).toEqual([5]);
    expect(builder.view()).toEqual(builder.finish());
  });
});

const program = (name: string) => {
  const builder = new GraphBuilder();
  builder.addNode(NodeType.comp, name);
  return builder.finish();
};

const set: GraphSet = {
  instance: 1,
  iteration: 7,
  releaseNs: 1_000_000_007,
  lane: 0,
  programs: [
    { npus: [6, 4], graph: program('even') },
    { npus: [5], graph: program('odd') },
  ],
  groups: { '1': [4, 5, 6] },
};

describe('sets', () => {
  test('expand to one graph per NPU, ascending', () => {
    const graphs = expandGraphSet(set);
    expect(graphs.map((graph) => readStreamMetadata(graph.metadata))).toEqual(
      [4, 5, 6].map((npu) => ({
        instance: 1,
        npu,
        iteration: 7,
        releaseNs: 1_000_000_007,
        lane: 0,
        nodeCount: 1,
        npuCount: 3,
        groups: { '1': [4, 5, 6] },
      })),
    );
    expect(graphs.map((graph) => graph.strings[graph.name[0]])).toEqual(['even', 'odd', 'even']);
  });

  test('come back from bytes with the last NPU, and give the same bytes again', () => {
    const bytes = encodeGraphs(expandGraphSet(set));
    const gatherer = new GraphSetGatherer();
    const sets = decodeGraphs(bytes).map((graph) => gatherer.push(graph));
    expect(sets.map((found) => found !== undefined)).toEqual([false, false, true]);
    const [, , back] = sets;
    expect(back).toMatchObject({ instance: 1, iteration: 7, releaseNs: 1_000_000_007, lane: 0 });
    expect(back!.groups).toEqual(set.groups);
    expect(encodeGraphs(expandGraphSet(back!))).toEqual(bytes);
    expect(gatherer.end()).toBeUndefined();
  });

  test('sets may be interleaved: lanes, instances and iterations are told apart', () => {
    const sets = [set, { ...set, lane: 1 }, { ...set, instance: 2 }, { ...set, iteration: 8 }];
    const columns = sets.map(expandGraphSet);
    const gatherer = new GraphSetGatherer();
    const mixed = [0, 1, 2].flatMap((npu) => columns.map((graphs) => graphs[npu]));
    const found = mixed.flatMap((graph) => gatherer.push(graph) ?? []);
    expect(found.map(({ lane, instance, iteration }) => [lane, instance, iteration])).toEqual([
      [0, 1, 7],
      [1, 1, 7],
      [0, 2, 7],
      [0, 1, 8],
    ]);
    expect(gatherer.end()).toBeUndefined();
  });

  test('graphs of one set that disagree about its release are an error', () => {
    const [first] = expandGraphSet(set);
    const [, later] = expandGraphSet({ ...set, releaseNs: 5 });
    const gatherer = new GraphSetGatherer();
    gatherer.push(first);
    expect(() => gatherer.push(later, 'graph 2')).toThrow(
      'graph 2: release_ns and npu_count must agree over an iteration',
    );
  });

  test('graphs of one set may each name their own groups, but not two by one name', () => {
    const [first, second] = expandGraphSet(set);
    const naming = (graph: ExecutionGraph, groups: GraphSet['groups']): ExecutionGraph => {
      const { attributes, version } = graph.metadata;
      const fields = { ...readStreamMetadata(graph.metadata), npuCount: 2, groups };
      return { ...graph, metadata: writeStreamMetadata(fields, attributes, version) };
    };
    const apart = new GraphSetGatherer();
    apart.push(naming(first, { a: [4, 5] }));
    expect(apart.push(naming(second, { b: [5, 6] }))?.groups).toEqual({ a: [4, 5], b: [5, 6] });
    const alike = new GraphSetGatherer();
    alike.push(naming(first, { a: [4, 5] }));
    expect(() => alike.push(naming(second, { a: [5, 6] }), 'g.et: graph 1')).toThrow(
      'g.et: graph 1: group "a" is [5,6] here and [4,5] in another graph of the iteration',
    );
  });

  test('a set that lacks an NPU, or has one twice, is an error', () => {
    const [first, second] = expandGraphSet(set);
    const gatherer = new GraphSetGatherer();
    gatherer.push(first);
    gatherer.push(second);
    expect(() => gatherer.end()).toThrow(
      'end of input: iteration 7 of instance 1 is not complete: graphs of 2 of 3 NPUs',
    );
    expect(() => gatherer.push(first, 'graph 9')).toThrow('graph 9: second graph for NPU 4');
  });

  test('plain files become one set at the end', () => {
    const gatherer = new GraphSetGatherer();
    expect(gatherer.push(program('a'))).toBeUndefined();
    expect(gatherer.push(program('b'))).toBeUndefined();
    expect(gatherer.end()!.programs.map(({ npus }) => npus)).toEqual([[0], [1]]);
  });

  test('two programs for one NPU are our bug', () => {
    const twice = { ...set, programs: [...set.programs, { npus: [5], graph: program('x') }] };
    expect(() => expandGraphSet(twice)).toThrow('assertion failed: two programs for NPU 5');
  });
});

describe('metadata', () => {
  test('a clock frame', () => {
    const requests = [{ advanceNs: 2 ** 40 }, { advanceNs: 7, writtenBy: 'mine 2.1' }];
    const graphs = decodeGraphs(encodeGraphs(requests.map(advanceGraph)));
    expect(graphs.map(({ nodeCount }) => nodeCount)).toEqual([0, 0]);
    expect(graphs.map(advanceOf)).toEqual(requests);
    expect(advanceOf(program('a'))).toBeUndefined();
  });

  test('other attributes are kept, ours are written anew', () => {
    const schema = { name: 'schema', kind: 'string_val', value: 'x' };
    const old = writeStreamMetadata({ npu: 1 }, [schema]);
    const metadata = writeStreamMetadata({ npu: 2 }, old.attributes);
    expect(metadata.attributes).toEqual([{ name: 'npu', kind: 'int64_val', value: 2 }, schema]);
  });

  test('node_count follows the graph', () => {
    const graph = { ...program('a'), metadata: writeStreamMetadata({ nodeCount: 5 }) };
    const [back] = decodeGraphs(encodeGraphs([graph]));
    expect(readStreamMetadata(back.metadata).nodeCount).toBe(1);
  });

  test.each([
    [{ name: 'npu', kind: 'string_val', value: '3' }, 'npu: expected an integer >= 0'],
    [{ name: 'release_ns', kind: 'int64_val', value: -1 }, 'release_ns: expected an integer'],
    [{ name: 'lane', kind: 'double_val', value: 1.5 }, 'lane: expected an integer'],
    [{ name: 'comm_groups', kind: 'string_val', value: '{"1":' }, 'comm_groups: expected {"name"'],
    [{ name: 'comm_groups', kind: 'string_val', value: '{"1":["a"]}' }, 'comm_groups: expected'],
  ])('refused: %o', (attribute, message) => {
    expect(() => readStreamMetadata({ version: '', attributes: [attribute] }, 'g')).toThrow(
      `g: metadata attribute ${message}`,
    );
  });
});
