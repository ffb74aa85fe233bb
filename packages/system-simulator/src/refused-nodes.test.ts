/** What a machine says of graphs that cannot go on, or not on it: always with the NPU and the node. */
import { CollectiveType, GraphBuilder, NodeType } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { createMachine } from './machine.js';
import { chain, collective, replay, set, spec } from './machine.test-helper.js';

test.each(['unaware', 'aware'] as const)(
  'a collective that a member never joins is one line (congestion %s)',
  (congestion) => {
    const builder = new GraphBuilder();
    collective(builder, CollectiveType.allReduce, 4096);
    const { dims = [] } = spec(2).network;
    const machine = createMachine(spec(2, { network: { congestion, dims } }));
    const programs = [
      { npus: [0], graph: builder.finish() },
      { npus: [1], graph: chain(5) },
    ];
    machine.submit(set(0, programs));
    expect(machine.runUntil(Number.MAX_SAFE_INTEGER)).toBeUndefined();
    expect(machine.stuck().lines).toEqual([
      'NPU 0: 1 of 1 nodes left of iteration 0 of instance 0; ' +
        'communication slot held by node 0 "collective"',
      'collective 0 of group [0,1] (ALL_REDUCE, 4096 bytes) misses NPU 1',
    ]);
  },
);

test('memory that the machine does not have', () => {
  const access = (type: NodeType, location: number, device: number) => (): void => {
    const builder = new GraphBuilder();
    const node = builder.addNode(type, 'weights');
    builder.setTensorSize(node, 64);
    builder.setTensorLocation(node, location, device, 0);
    replay(spec(2), [set(0, [{ npus: [1], graph: builder.finish() }])]);
  };
  const at = 'NPU 1: node 0 ("weights")';
  expect(access(NodeType.memLoad, 3, 0)).toThrow(
    `${at}: memory access to tier cxl, which this machine lacks`,
  );
  expect(access(NodeType.memStore, 2, 9)).toThrow(
    `${at}: device 9 of memory tier remote, which has 2`,
  );
  expect(access(NodeType.pimComp, 2, 0)).toThrow(
    `${at}: PIM channel 0 of memory tier remote, which has 0`,
  );
});

test('a collective of a group that the NPU is not in', () => {
  const builder = new GraphBuilder();
  collective(builder, CollectiveType.allReduce, 4096, '7');
  const programs = [{ npus: [2], graph: builder.finish() }];
  expect(() => replay(spec(3), [set(0, programs, { groups: { 7: [0, 1] } })])).toThrow(
    'NPU 2: node 0 ("collective"): a collective of group [0,1], which NPU 2 is not in',
  );
});

test('a group with an NPU that the machine does not have', () => {
  const programs = [{ npus: [0, 1], graph: chain(5) }];
  expect(() => replay(spec(2), [set(0, programs, { groups: { 7: [0, 8] } })])).toThrow(
    'communicator group [0,8] names NPU 8, but the machine has 2',
  );
});

test.each([
  ['next to each other', [1, 1, 3]],
  ['apart, where the others leave no gap', [1, 2, 1]],
])('two nodes of one id, %s', (_, ids) => {
  const builder = new GraphBuilder();
  ids.forEach((id, i) => {
    builder.setId(builder.addNode(NodeType.comp, 'abc'[i]), id);
  });
  builder.addDepId(1, 3);
  const graph = { ...builder.finish() };
  expect(() => replay(spec(1), [set(0, [{ npus: [0], graph }])])).toThrow(
    'iteration 0 of instance 0, NPU 0: node 1 ("',
  );
  expect(() => replay(spec(1), [set(0, [{ npus: [0], graph }])])).toThrow(
    '"): a node "a" before it has the same id',
  );
});

test('a message without a size: perhaps the other dialect', () => {
  const builder = new GraphBuilder();
  builder.addNode(NodeType.commSend, 'gemm');
  const programs = [{ npus: [1], graph: builder.finish() }];
  expect(() => replay(spec(2), [set(3, programs)])).toThrow(
    expect.objectContaining({
      message:
        'iteration 3 of instance 0, NPU 1: node 0 ("gemm"): COMM_SEND without the attribute comm_dst',
      hint: 'if another program wrote the trace: --dialect llmservingsim, or upstream',
    }),
  );
});

test('a collective of some dimensions, which a cluster does not have', () => {
  const run = (bits: number, group: string): unknown => {
    const builder = new GraphBuilder();
    const node = collective(builder, CollectiveType.allReduce, 4096, group);
    builder.setInvolvedDims(node, bits, 2);
    const programs = [{ npus: [0, 1], graph: builder.finish() }];
    return replay(spec(2), [set(0, programs, { groups: { 7: [0, 1] } })])[0].finishNs;
  };
  expect(() => run(1, '')).toThrow(
    'NPU 0: node 0 ("collective"): involved_dim chooses dimensions, and a cluster has none',
  );
  expect(() => run(0, '0')).toThrow('involved_dim');
  expect(run(3, '')).toBe(run(1, '7'));
});
