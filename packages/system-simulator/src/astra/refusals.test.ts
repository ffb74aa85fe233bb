/** Every way in which ASTRA-sim dies or waits for ever has a sentence here. */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { collectiveGraph, network, type Options, simulate } from './astra.test-helper.js';
import { describeLeftOut, describeUnfinished } from './unfinished.js';

const ring4 = network(['Ring', 4]);
const S = 1_048_576;

function refusal(options: Partial<Options>): string {
  try {
    const full = { net: ring4, graphs: collectiveGraph('AR', S), ...options };
    const lines = describeUnfinished(simulate(full));
    return lines.join('\n');
  } catch (error) {
    return (error as Error).message;
  }
}

function nodes(change: (builder: GraphBuilder) => void): Options['graphs'] {
  const builder = new GraphBuilder();
  change(builder);
  return builder.finish();
}

test.each<[string, Partial<Options>, RegExp]>([
  ['tree', { how: 'doubleBinaryTree', net: network(['Ring', 6]) }, /power of two of NPUs, not 6/],
  [
    'halving-doubling',
    { how: 'halvingDoubling', net: network(['Ring', 6]) },
    /halvingDoubling over 6 NPUs never ends: not a power of two/,
  ],
  [
    'halving-doubling all-to-all',
    { how: 'halvingDoubling', graphs: collectiveGraph('A2A', S) },
    /0\.et: node 0: halvingDoubling does not do all-to-all/,
  ],
  [
    'too small',
    { how: 'halvingDoubling', net: network(['Ring', 8]), graphs: collectiveGraph('AR', 3) },
    /a message of 0 bytes/,
  ],
  ['no implementation', { how: 'none' }, /no implementation for allReduce/],
  ['too many', { how: ['ring', 'ring'] }, /2 implementations of allReduce for 1 dimensions/],
  [
    'no chunks',
    { system: { 'preferred-dataset-splits': 0 } },
    /preferred-dataset-splits is missing/,
  ],
  [
    'more chunks than memory holds',
    { system: { 'preferred-dataset-splits': 1e308 } },
    /preferred-dataset-splits: expected 1048576 chunks at most, got 1e\+308$/,
  ],
  [
    'more queues than memory holds',
    { more: { queuesPerDim: 1e9 } },
    /--num-queues-per-dim: expected an integer of 1 to 1024, got 1000000000$/,
  ],
  ['empty all-gather', { graphs: collectiveGraph('AG', 0) }, /a collective of 0 bytes never ends/],
  [
    'endless all-gather',
    { graphs: collectiveGraph('AG', 3), system: { 'preferred-dataset-splits': 4 } },
    /chunks of 0 bytes never end/,
  ],
  [
    'congestion in several dimensions',
    {
      net: network(['Ring', 2], ['Ring', 2]),
      how: 'ring',
      more: { backend: 'congestion-aware' },
    },
    /only support 1-dim topology/,
  ],
  [
    'no dimension',
    { graphs: collectiveGraph('AR', S, (b, node) => b.setInvolvedDims(node, 0, 1)) },
    /no dimension has another member/,
  ],
  [
    'unknown group',
    { graphs: collectiveGraph('AR', S, (b, node) => b.setGroup(node, '7')) },
    /communicator group 7 is not defined/,
  ],
  [
    'outside its group',
    {
      graphs: collectiveGraph('AR', S, (b, node) => b.setGroup(node, '1')),
      more: { groups: new Map([[1, [0, 1]]]) },
    },
    /NPU 2 is not in communicator group 1/,
  ],
  [
    'memory',
    { graphs: nodes((b) => b.setTensorSize(b.addNode(NodeType.memLoad, 'load'), 8)) },
    /not supported in NO_MEMORY_EXPANSION/,
  ],
  [
    'self message',
    {
      graphs: nodes((b) => {
        const node = b.addNode(NodeType.commSend, 'send');
        b.setPointToPoint(node, 0, 0, 0, 8);
      }),
    },
    /a message to itself/,
  ],
  [
    'another sender',
    {
      graphs: nodes((b) => {
        const node = b.addNode(NodeType.commSend, 'send');
        b.setPointToPoint(node, 1, 2, 0, 8);
      }),
    },
    /Send node should be issued by the sender: it names NPU 1/,
  ],
  [
    'cycle',
    {
      graphs: nodes((b) => {
        b.addNode(NodeType.comp, 'a');
        b.addNode(NodeType.comp, 'b');
        b.addDep(0, 1);
        b.addDep(1, 0);
      }),
    },
    /no node without dependencies: nothing can start/,
  ],
  [
    'missing parent',
    {
      graphs: nodes((b) => {
        b.addNode(NodeType.comp, 'a');
        b.addDepId(b.addNode(NodeType.comp, 'b'), 77);
      }),
    },
    /0\.et: node 1 \("b"\): depends on node 77, which does not exist/,
  ],
  [
    'barrier',
    {
      graphs: nodes((b) => b.setCollective(b.addNode(NodeType.commColl, 'barrier'), 9, 8)),
    },
    /collective BARRIER is not supported/,
  ],
])('%s', (_, options, says) => {
  expect(refusal(options)).toMatch(says);
});

test('a lost message is told from both sides', () => {
  const graphs = [0, 1, 2, 3].map((npu) => {
    const builder = new GraphBuilder();
    if (npu === 0) {
      const node = builder.addNode(NodeType.commSend, 'send');
      builder.setPointToPoint(node, 0, 2, 5, 1000);
    } else if (npu === 2) {
      const node = builder.addNode(NodeType.commRecv, 'receive');
      builder.setPointToPoint(node, 0, 2, 5, 2000);
    } else builder.addNode(NodeType.comp, 'idle');
    return builder.finish();
  });
  expect(refusal({ graphs }).split('\n')).toEqual([
    'NPU 2 never finishes: 1 of 1 nodes left, it only waits to receive',
    'NPU 2 waits for 2000 bytes of NPU 0 with tag 5',
    'NPU 2 never received 1000 bytes of NPU 0 with tag 5',
  ]);
});

test('an NPU that finishes with nodes that wait for each other is told', () => {
  const graphs = nodes((builder) => {
    for (const name of ['a', 'b', 'c']) {
      builder.setDuration(builder.addNode(NodeType.comp, name), 5);
    }
    builder.addDep(0, 1);
    builder.addDep(1, 0);
  });
  const simulation = simulate({ net: ring4, graphs });
  expect(simulation.results().map(({ finishNs }) => finishNs)).toEqual([5, 5, 5, 5]);
  expect(describeUnfinished(simulation)).toEqual([]);
  expect(describeLeftOut(simulation)).toBe(
    'NPU 0 (and 3 more NPUs): finished as ASTRA-sim sees it, but 2 of 3 nodes never ran: ' +
      'they wait for each other, see chakra lint',
  );
  const plain = simulate({ net: ring4, graphs: collectiveGraph('AR', S) });
  expect(describeLeftOut(plain)).toBeUndefined();
});
