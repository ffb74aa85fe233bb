/** What NPUs that run as one load counts for each of them. */
import { GraphBuilder, NodeType, TensorLocation } from '@astrolabe/chakra';
import { expect, test } from 'vitest';
import { createMachine } from '../machine.js';
import { set, spec } from '../machine.test-helper.js';

test.each([true, false])('two NPUs load from their own memory (fast paths: %s)', (fastPaths) => {
  const builder = new GraphBuilder();
  const node = builder.addNode(NodeType.memLoad, 'weights');
  builder.setTensorSize(node, 5000);
  builder.setTensorLocation(node, TensorLocation.local, 0);
  const machine = createMachine(spec(2, { fastPaths }));
  machine.submit(set(0, [{ npus: [0, 1], graph: builder.finish() }]));
  expect(machine.runUntil(Number.MAX_SAFE_INTEGER)).toMatchObject({ memoryBytes: 10_000 });
  expect(machine.counters().memory).toMatchObject([
    { tier: 'local', bytes: 10_000, busyNs: 10, accesses: 2 },
  ]);
});
