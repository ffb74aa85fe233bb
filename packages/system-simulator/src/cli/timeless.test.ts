/** Traces without durations must not pass as fast ones in silence. */
import { type ExecutionGraph, GraphBuilder, NodeType } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { timelessNote } from './timeless.js';

/** Compute nodes, each with `[duration, operations]`. */
function graph(...nodes: readonly (readonly [number, number])[]): ExecutionGraph {
  const builder = new GraphBuilder();
  for (const [durationNs, numOps] of nodes) {
    const node = builder.addNode(NodeType.comp, 'gemm');
    builder.setDuration(node, durationNs);
    if (numOps > 0) builder.setNumOps(node, numOps);
  }
  return builder.finish();
}

test('nodes with work and no time are counted, of shared graphs once', () => {
  const symbolic = graph([0, 100], [0, 5], [0, 0]);
  expect(timelessNote([symbolic, symbolic], '1 ns each')).toBe(
    '2 of 3 compute nodes have num_ops and no duration: they take 1 ns each; ' +
      'a roofline needs a system file with roofline-enabled 1',
  );
});

test('not of recorded ones, or a few that were rounded away', () => {
  expect(timelessNote([graph([5, 100], [7, 0])], '')).toBeUndefined();
  expect(timelessNote([graph([0, 100], [7, 1], [7, 1])], '')).toBeUndefined();
  expect(timelessNote([graph()], '')).toBeUndefined();
});
