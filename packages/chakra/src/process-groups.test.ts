/**
 * Goal: a trace with PyTorch's process groups runs and lints without a groups file. Method: the texts
 * that PyTorch and Chakra's converter write, around small graphs.
 */
import { describe, expect, test } from 'vitest';
import {
  CollectiveType,
  type ExecutionGraph,
  GraphBuilder,
  GraphSetGatherer,
  lint,
  NodeType,
  nodeRecord,
  processGroups,
  withGroups,
  writeNodeFields,
} from './index.js';

interface ProcessGroup {
  readonly pg_name: string | number;
  readonly ranks?: readonly number[] | Readonly<Record<string, number>>;
}

/** As the converter writes it: a Python list with the JSON text as its one element. */
const asWritten = (list: readonly ProcessGroup[]): string =>
  `['${JSON.stringify(list.map((one) => ({ pg_desc: 'x', group_size: 2, ...one })))}']`;

/** Process groups, then an all-reduce in one of them. */
function rank(values: string, pgName: string, type: NodeType = NodeType.metadata): ExecutionGraph {
  const builder = new GraphBuilder();
  const init = builder.addNode(type, '## process_group:init ##');
  builder.addFields(init, writeNodeFields({ inputs: { values, shapes: '[[]]', types: '' } }));
  const reduce = builder.addNode(NodeType.commColl, 'ncclDevKernel_AllReduce');
  builder.setCollective(reduce, CollectiveType.allReduce, 1024);
  builder.setGroup(reduce, pgName);
  return builder.finish();
}

const everybody = { pg_name: '0', ranks: [] };
const pairs = [
  { pg_name: '1', ranks: [0, 1] },
  { pg_name: '9c2e', ranks: [3, 2] },
];
/** Rank r as PyTorch writes it: only the groups that it is in. */
const ranks = [0, 1, 2, 3].map((npu) => {
  const own = pairs[npu < 2 ? 0 : 1];
  return rank(asWritten([everybody, own]), own.pg_name);
});
const all = { '0': [0, 1, 2, 3], '1': [0, 1], '9c2e': [3, 2] };

describe('what is read', () => {
  const read = (values: string): unknown => processGroups(rank(values, '1'), [0, 1], 't');

  test.each([
    ['a list', asWritten([pairs[0]]), { '1': [0, 1] }],
    ['escaped quotes', `["${JSON.stringify([pairs[0]]).replaceAll('"', '\\"')}"]`, { '1': [0, 1] }],
    ['an empty list of ranks is everybody', asWritten([everybody]), { '0': [0, 1] }],
    ['no list of ranks, too', asWritten([{ pg_name: 5 }]), { '5': [0, 1] }],
    [
      'rank in the group by rank',
      asWritten([{ pg_name: '1', ranks: { 4: 1, 7: 0 } }]),
      { '1': [7, 4] },
    ],
    ['no groups', "['[]']", undefined],
    ['other metadata', "['pid 17']", undefined],
  ])('%s', (_, values, groups) => {
    expect(read(values)).toEqual(groups);
  });

  test('a converter that makes a compute node of it', () => {
    const graph = rank(asWritten([pairs[0]]), '1', NodeType.comp);
    expect(processGroups(graph, [0, 1], 't')).toEqual({ '1': [0, 1] });
  });

  test('what cannot be read is refused with its place', () => {
    expect(() => read('[\'[{"pg_name": 1, \']')).toThrow(
      't: node 0: process groups that cannot be',
    );
    expect(() => read(asWritten([{ pg_name: '1', ranks: { 0: 0, 1: 0 } }]))).toThrow(
      't: node 0: process groups that cannot be',
    );
    expect(() => read(asWritten([pairs[0], { pg_name: '1', ranks: [0, 2] }]))).toThrow(
      't: node 0: process group "1" is [0,2] and [0,1]',
    );
  });
});

test('a group may be called as what every object has', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    const list = `['[{"pg_name": "${name}", "ranks": [0, 1]}]']`;
    const programs = [0, 1].map((npu) => ({ npus: [npu], graph: rank(list, name) }));
    expect(Object.entries(withGroups(programs, {}).groups)).toEqual([[name, [0, 1]]]);
    const inputs = programs.map(({ graph }, npu) => ({ graph, npu, at: `${npu}` }));
    expect(lint(inputs).findings).toEqual([]);
    const gatherer = new GraphSetGatherer();
    for (const { graph } of programs) gatherer.push(graph);
    expect(Object.entries(gatherer.end()?.groups ?? {})).toEqual([[name, [0, 1]]]);
  }
});

test('all graphs of an iteration together; those of the stream count first', () => {
  const programs = ranks.map((graph, npu) => ({ npus: [npu], graph }));
  expect(withGroups(programs, {})).toEqual({ programs, groups: all });
  const gatherer = new GraphSetGatherer();
  for (const graph of ranks) expect(gatherer.push(graph)).toBeUndefined();
  expect(gatherer.end()?.groups).toEqual(all);
});

describe('lint', () => {
  const inputs = ranks.map((graph, npu) => ({ graph, npu, at: `t.${npu}.et` }));

  test('needs no groups file', () => {
    expect(lint(inputs).findings).toEqual([]);
  });

  test('given groups count before those', () => {
    const { findings } = lint(inputs, { groups: { '1': [1] } });
    expect(findings.map(({ rule, npu }) => [rule, npu])).toEqual([
      ['not-a-member', 0],
      ['group-of-one', 1],
    ]);
  });
});

describe('one name for groups of several ranks, as of groups that PyTorch splits from one', () => {
  const split = [0, 1, 2, 3].map((npu) =>
    rank(asWritten([{ pg_name: '5', ranks: npu < 2 ? [0, 1] : [2, 3] }]), '5'),
  );
  const programs = split.map((graph, npu) => ({ npus: [npu], graph }));

  test('each rank means its own', () => {
    const { programs: renamed, groups } = withGroups(programs, {});
    expect(groups).toEqual({ '5 [0,1]': [0, 1], '5 [2,3]': [2, 3] });
    expect(renamed.map(({ graph }) => nodeRecord(graph, 1).pgName)).toEqual([
      ...['5 [0,1]', '5 [0,1]'],
      ...['5 [2,3]', '5 [2,3]'],
    ]);
    expect(nodeRecord(split[0], 1).pgName).toBe('5');
    expect(lint(split.map((graph, npu) => ({ graph, npu, at: `${npu}` }))).findings).toEqual([]);
  });

  test('a given group of that name is everybody\u2019s', () => {
    const given = { '5': [0, 1, 2, 3] };
    expect(withGroups(programs, given)).toEqual({ programs, groups: given });
  });

  test('a rank that defines none cannot know which', () => {
    const graph = rank("['[]']", '5');
    const inputs = split.with(3, graph).map((one, npu) => ({ graph: one, npu, at: `${npu}` }));
    expect(lint(inputs).findings.map(({ rule, npu }) => [rule, npu])).toContainEqual([
      'unknown-group',
      3,
    ]);
  });
});
