/** What a graph consists of, counted by hand. */
import { expect, test } from 'vitest';
import { GraphBuilder } from './graph-builder.js';
import { CollectiveType, NodeType } from './node-type.js';
import { graphStatistics } from './statistics.js';

test('times are those of compute nodes, also in a trace that recorded others', () => {
  const builder = new GraphBuilder();
  const first = builder.addNode(NodeType.comp, 'a');
  builder.setDuration(first, 100);
  const reduce = builder.addNode(NodeType.commColl, 'b');
  builder.setCollective(reduce, CollectiveType.allReduce, 64);
  builder.setDuration(reduce, 5000);
  builder.addDep(reduce, first);
  const pim = builder.addNode(NodeType.pimComp, 'c');
  builder.setDuration(pim, 30);
  builder.addDep(pim, reduce);
  const beside = builder.addNode(NodeType.comp, 'd');
  builder.setDuration(beside, 120);
  expect(graphStatistics(builder.finish())).toMatchObject({
    nodeCount: 4,
    edgeCount: 2,
    rootCount: 2,
    computeNs: 250,
    criticalPathNs: 130,
    depth: 3,
  });
});
