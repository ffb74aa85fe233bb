/**
 * Nodes of one NPU that end in the same instant: what they make ready starts in the order of ids, with
 * and without fast paths, which find these ends in another order.
 */
import { CollectiveType, type ExecutionGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chain, collective, replay, set, sizes, spec } from './machine.test-helper.js';

function timeOf(sizeBytes: number, numNpus: number, congestion: 'aware' | 'unaware'): number {
  const builder = new GraphBuilder();
  collective(builder, CollectiveType.allReduce, sizeBytes);
  const npus = Array.from({ length: numNpus }, (_, npu) => npu);
  const network = { ...spec(numNpus).network, congestion };
  const machine = spec(numNpus, { network });
  return replay(machine, [set(0, [{ npus, graph: builder.finish() }])])[0].finishNs;
}

/** A collective beside a compute node of so long; a compute node behind each; a collective at the end. */
function sideBySide(
  sizeBytes: number,
  besideNs: number,
  behind: readonly number[],
): ExecutionGraph {
  const builder = new GraphBuilder();
  collective(builder, CollectiveType.allReduce, sizeBytes);
  const add = (durationNs: number, after: number): number => {
    const node = builder.addNode(NodeType.comp, 'compute');
    builder.setDuration(node, durationNs);
    if (after >= 0) builder.addDep(node, after);
    return node;
  };
  const beside = add(besideNs, -1);
  const first = add(behind[0], 0);
  add(behind[1], beside);
  const last = builder.addNode(NodeType.commColl, 'last');
  builder.setCollective(last, CollectiveType.allReduce, sizeBytes);
  builder.addDep(last, first);
  return builder.finish();
}

test.each(['unaware', 'aware'] as const)('%s: the lower id gets the slot', (congestion) => {
  const endNs = timeOf(1 << 20, 2, congestion);
  const graph = sideBySide(1 << 20, endNs, [10, 20]);
  for (const fastPaths of [true, false]) {
    const network = { ...spec(2).network, congestion };
    const [done] = replay(spec(2, { network, fastPaths }), [set(0, [{ npus: [0, 1], graph }])]);
    // The first 10 ns behind the collective, then the last collective beside the other 20.
    expect(done.finishNs).toBe(endNs + 10 + endNs);
  }
});

test('fast paths are the plain way wherever ends meet', () => {
  const offsets = fc.constantFrom(-1, 0, 0, 0, 1);
  const durations = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }));
  fc.assert(
    fc.property(
      fc.constantFrom('unaware' as const, 'aware' as const),
      fc.integer({ min: 2, max: 5 }),
      sizes,
      offsets,
      durations,
      (congestion, numNpus, sizeBytes, offset, behind) => {
        const besideNs = Math.max(0, timeOf(sizeBytes, numNpus, congestion) + offset);
        const npus = Array.from({ length: numNpus }, (_, npu) => npu);
        const sets = [
          set(0, [{ npus, graph: sideBySide(sizeBytes, besideNs, behind) }]),
          set(1, [{ npus, graph: chain(...behind) }]),
        ];
        const network = { ...spec(numNpus).network, congestion };
        // Bytes are shares of a message, summed in either order.
        const [fast, plain] = [true, false].map((fastPaths) =>
          replay(spec(numNpus, { network, fastPaths }), sets).map(({ commBytes, ...done }) => ({
            ...done,
            commBytes: Math.round(commBytes),
          })),
        );
        expect(fast).toEqual(plain);
      },
    ),
    { numRuns: 500 },
  );
});

/** Sends to the last NPU, which takes the messages in the order of their senders. */
function toOne(npu: number, numNpus: number, sizeBytes: number): ExecutionGraph {
  const builder = new GraphBuilder();
  const last = numNpus - 1;
  if (npu < last) {
    const send = builder.addNode(NodeType.commSend, 'send');
    builder.setPointToPoint(send, npu, last, npu, sizeBytes);
    return builder.finish();
  }
  for (let from = 0; from < last; from++) {
    const receive = builder.addNode(NodeType.commRecv, 'receive');
    builder.setPointToPoint(receive, from, last, from, sizeBytes);
    const after = builder.addNode(NodeType.comp, 'compute');
    builder.setDuration(after, 1 + from * 1000);
    builder.addDep(after, receive);
  }
  return builder.finish();
}

test('where messages queue, programs count in the order of NPUs', () => {
  const numNpus = 3;
  const graphs = [0, 1, 2].map((npu) => ({ npus: [npu], graph: toOne(npu, numNpus, 1 << 20) }));
  const dims = [{ kind: 'Switch' as const, npus: numNpus, bandwidthGBps: 50, latencyNs: 500 }];
  const machine = spec(numNpus, { network: { congestion: 'aware', dims } });
  const [ordered] = replay(machine, [set(0, graphs)]);
  const [turned] = replay(machine, [set(0, graphs.toReversed())]);
  expect(turned).toEqual(ordered);
});
