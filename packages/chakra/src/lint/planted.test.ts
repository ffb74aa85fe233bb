/**
 * Goal: every planted defect is found by its rule at its node. Method: a small valid run of four NPUs,
 * broken in one place at a time.
 */
import { describe, expect, test } from 'vitest';
import { CollectiveType, NodeType } from '../node-type.js';
import { formatFinding, type LintRule, lintRules } from './finding.js';
import { type LintOptions, lint } from './lint.js';
import {
  also,
  build,
  type Draft,
  drafts,
  groups,
  named,
  type Plant,
  put,
  run,
} from './run.test-helper.js';

const { allGather, allToAll } = CollectiveType;

const swap = (nodes: Draft[], a: string, b: string): void => {
  const [first, second] = [named(nodes, a), named(nodes, b)];
  [first.id, second.id] = [second.id, first.id];
  [first.parents, second.parents] = [second.parents, first.parents];
};

/** Rule, what is broken, the node's name where it shows ('' = the graph), how, options. */
const defects: [LintRule, string, string, Plant, LintOptions?][] = [
  ['empty-graph', 'a file without nodes', '', (_, all) => all.splice(0, 4, [], [], [], [])],
  ['duplicate-id', 'an id used twice', 'store', (nodes) => (named(nodes, 'store').id = 11)],
  [
    'orphan-dependency',
    'a data_dep on no node',
    'gemm',
    (nodes) => named(nodes, 'gemm').parents.push(99),
  ],
  [
    'orphan-dependency',
    'a ctrl_dep on no node',
    'gemm',
    (nodes) => (named(nodes, 'gemm').ctrlParents = [99]),
  ],
  [
    'cycle',
    'a node waiting for itself',
    'gemm',
    (nodes) => named(nodes, 'gemm').parents.push('gemm'),
  ],
  [
    'cycle',
    'a ring beside a free node',
    'gemm',
    (nodes) => named(nodes, 'gemm').parents.push('store'),
  ],
  ['cycle', 'no free node at all', 'load', (nodes) => named(nodes, 'load').parents.push('store')],
  [
    'unknown-node-type',
    'type 8 of an upstream file',
    'gemm',
    (nodes) => (named(nodes, 'gemm').type = 9),
  ],
  [
    'invalid-node',
    'a node without type',
    'gemm',
    (nodes) => (named(nodes, 'gemm').type = NodeType.invalid),
  ],
  [
    'missing-attribute',
    'a load without size',
    'load',
    (nodes) => put(nodes, 'load', () => undefined),
  ],
  [
    'missing-attribute',
    'a collective without size',
    'exchange',
    (nodes) =>
      put(nodes, 'exchange', (b, n) => b.addExtra(n, { name: 'x', kind: 'bool_val', value: true })),
  ],
  [
    'missing-attribute',
    'a send without anything',
    'send',
    (nodes) => put(nodes, 'send', () => undefined),
  ],
  [
    'missing-attribute',
    'a receive without anything',
    'receive',
    (nodes) => put(nodes, 'receive', () => undefined),
  ],
  [
    'attribute-kind',
    'a size as text',
    'load',
    (nodes) =>
      put(nodes, 'load', (b, n) =>
        b.addExtra(n, { name: 'tensor_size', kind: 'string_val', value: '64' }),
      ),
  ],
  [
    'attribute-kind',
    'involved_dim as one bool',
    'exchange',
    (nodes) =>
      also(nodes, 'exchange', (b, n) =>
        b.addExtra(n, { name: 'involved_dim', kind: 'bool_val', value: true }),
      ),
  ],
  [
    'unknown-collective',
    'comm_type 12',
    'exchange',
    (nodes) => also(nodes, 'exchange', (b, n) => b.setCollective(n, 12, 256)),
  ],
  [
    'unsupported-collective',
    'a BARRIER',
    'exchange',
    (nodes) => also(nodes, 'exchange', (b, n) => b.setCollective(n, CollectiveType.barrier, 256)),
  ],
  [
    'cpu-communication',
    'a collective on the CPU',
    'reduce',
    (nodes) => also(nodes, 'reduce', (b, n) => b.setCpuOp(n, true)),
  ],
  ['zero-duration', 'compute without time', 'gemm', (nodes) => put(nodes, 'gemm', () => undefined)],
  [
    'zero-size',
    'a load of 0 bytes',
    'load',
    (nodes) => put(nodes, 'load', (b, n) => b.setTensorSize(n, 0)),
  ],
  [
    'negative-size',
    'a size that overflowed',
    'load',
    (nodes) => put(nodes, 'load', (b, n) => b.setTensorSize(n, -1)),
  ],
  [
    'no-dimension',
    'involved_dim all false',
    'exchange',
    (nodes) => also(nodes, 'exchange', (b, n) => b.setInvolvedDims(n, 0, 2)),
  ],
  [
    'wrong-endpoint',
    "a send in another NPU's name",
    'send',
    (nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 3, 2, 7, 64)),
  ],
  [
    'self-message',
    'a send to itself',
    'send',
    (nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 1, 1, 7, 64)),
  ],
  ['missing-rank', 'NPU 2 has no file', '', (_, all) => (all[2] = undefined as never)],
  [
    'missing-rank',
    'the last NPU has no file',
    '',
    (_, all) => (all[3] = undefined as never),
    { npuCount: 4 },
  ],
  ['missing-rank', 'one NPU too many', '', () => {}, { npuCount: 3 }],
  [
    'unmatched-send',
    'another tag',
    'send',
    (nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 1, 2, 8, 64)),
  ],
  [
    'unmatched-send',
    'another size',
    'send',
    (nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 1, 2, 7, 65)),
  ],
  [
    'unmatched-send',
    'another destination',
    'send',
    (nodes) => also(nodes, 'send', (b, n) => b.setPointToPoint(n, 1, 3, 7, 64)),
  ],
  [
    'unmatched-receive',
    'another source',
    'receive',
    (nodes) => also(nodes, 'receive', (b, n) => b.setPointToPoint(n, 2, 1, 7, 64)),
  ],
  [
    'unmatched-receive',
    'no send at all',
    'receive',
    (_, all) => (named(all[0], 'send').type = NodeType.comp),
  ],
  [
    'unmatched-send',
    'one send more',
    'again',
    (nodes) => nodes.push({ ...named(nodes, 'send'), name: 'again', id: 99 }),
  ],
  [
    'unmatched-receive',
    'one receive more',
    'again',
    (nodes) => nodes.push({ ...named(nodes, 'receive'), name: 'again', id: 99 }),
  ],
  [
    'unknown-group',
    'a group nobody defined',
    'reduce',
    (nodes) => also(nodes, 'reduce', (b, n) => b.setGroup(n, '5')),
  ],
  [
    'not-a-member',
    "the other group's name",
    'reduce',
    (nodes) => also(nodes, 'reduce', (b, n) => b.setGroup(n, '2')),
  ],
  [
    'group-of-one',
    'a group of one',
    'reduce',
    () => undefined,
    { groups: { '1': [1], '2': [2, 3] } },
  ],
  [
    'group-members',
    'an NPU listed twice',
    '',
    () => undefined,
    { groups: { '1': [0, 1, 1], '2': [2, 3] } },
  ],
  [
    'collective-participants',
    'a member runs one less',
    'exchange',
    (nodes) => (named(nodes, 'exchange').type = NodeType.comp),
  ],
  [
    'collective-participants',
    'a member runs one more',
    'again',
    (nodes) => nodes.push({ ...named(nodes, 'exchange'), name: 'again', id: 99 }),
  ],
  [
    'collective-order',
    'two collectives exchanged',
    'second',
    (_, all) => {
      for (const nodes of all)
        nodes.push({
          ...named(nodes, 'exchange'),
          name: 'second',
          id: 17,
          parents: ['exchange'],
          set: (b, n) => b.setCollective(n, allGather, 32),
        });
      swap(all[1], 'exchange', 'second');
      named(all[1], 'exchange').parents = ['second'];
      named(all[1], 'second').parents = ['reduce'];
    },
  ],
  [
    'collective-type',
    'an all-gather among all-reduces',
    'reduce',
    (nodes) => also(nodes, 'reduce', (b, n) => b.setCollective(n, allGather, 1024)),
  ],
  [
    'collective-size',
    'another size',
    'exchange',
    (nodes) => also(nodes, 'exchange', (b, n) => b.setCollective(n, allToAll, 512)),
  ],
  [
    'collective-dimensions',
    'other dimensions',
    'exchange',
    (nodes) => also(nodes, 'exchange', (b, n) => b.setInvolvedDims(n, 3, 2)),
  ],
  [
    'deadlock',
    'everyone receives before sending',
    'receive',
    (_, all) => {
      for (const nodes of all) named(nodes, 'send').parents = ['receive'];
    },
  ],
  [
    'deadlock',
    'a receive before the collective that its sender waits in',
    'reduce',
    (nodes) => {
      named(nodes, 'receive').parents = [];
      named(nodes, 'load').parents = ['receive'];
    },
  ],
  [
    'group-name',
    'a name where a number is due',
    'reduce',
    (_, all) => {
      for (const nodes of all.slice(0, 2)) also(nodes, 'reduce', (b, n) => b.setGroup(n, 'tp'));
    },
    { target: 'astra-sim', groups: { tp: [0, 1], '2': [2, 3] } },
  ],
  [
    'metadata-node',
    'a METADATA node',
    'gemm',
    (nodes) => (named(nodes, 'gemm').type = NodeType.metadata),
    { target: 'astra-sim' },
  ],
  [
    'pim-node',
    'a PIM node',
    'gemm',
    (nodes) => (named(nodes, 'gemm').type = NodeType.pimComp),
    { target: 'astra-sim' },
  ],
  [
    'rounded-duration',
    '1,500 ns',
    'gemm',
    (nodes) => put(nodes, 'gemm', (b, n) => b.setDuration(n, 1500)),
    { target: 'astra-sim' },
  ],
  ['tensor-location', 'a load from nowhere', 'load', () => undefined, { target: 'llmservingsim' }],
  [
    'control-dependency',
    'a ctrl_dep',
    'gemm',
    (nodes) => (named(nodes, 'gemm').ctrlParents = [10]),
    { target: 'llmservingsim' },
  ],
  [
    'duplicate-dependency',
    'a parent given twice',
    'gemm',
    (nodes) => named(nodes, 'gemm').parents.push('load'),
    { target: 'llmservingsim' },
  ],
];

describe('planted defects', () => {
  test.each(defects)('%s: %s', (rule, _what, where, plant, options = {}) => {
    const inputs = [0, 1, 2, 3].map(drafts);
    plant(inputs[1], inputs);
    const graphs = inputs.flatMap((nodes, npu) =>
      nodes === undefined ? [] : [{ npu, graph: build(nodes), at: `t.${npu}.et` }],
    );
    const { findings } = lint(graphs, { groups, ...options });
    const found = findings.find((finding) => finding.rule === rule);
    expect(found, findings.map(formatFinding).join('\n')).toBeDefined();
    if (where !== '') expect(found!.name, formatFinding(found!)).toBe(where);
    expect(found!.severity).toBe(lintRules[rule][0]);
  });

  test('a second graph for an NPU', () => {
    const inputs = run();
    const { findings } = lint([...inputs, { ...inputs[1], at: 'copy' }], { groups });
    expect(findings.map((finding) => finding.rule)).toContain('duplicate-rank');
  });

  test('every rule has its defect', () => {
    const planted = new Set<string>([...defects.map(([rule]) => rule), 'duplicate-rank']);
    expect(Object.keys(lintRules).filter((rule) => !planted.has(rule))).toEqual([]);
  });
});
