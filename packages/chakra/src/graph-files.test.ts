/** Goal: a control line says what its files hold. Two ranks by hand, the second one busier. */
import { expect, test } from 'vitest';
import { GraphBuilder } from './graph-builder.js';
import { describeGraphFiles, graphFileName, graphFilesSchema } from './graph-files.js';
import { CollectiveType, NodeType } from './node-type.js';

function rank(durationNs: number) {
  const builder = new GraphBuilder();
  builder.setDuration(builder.addNode(NodeType.comp, 'a'), durationNs);
  builder.setDuration(builder.addNode(NodeType.comp, 'b'), 5);
  builder.setCollective(builder.addNode(NodeType.commColl, 'c'), CollectiveType.allReduce, 64);
  return builder.finish();
}

test('sums of the busiest NPU, NPUs in order, groups copied', () => {
  const set = {
    instance: 1,
    iteration: 7,
    releaseNs: 100,
    lane: 0,
    programs: [
      { npus: [5], graph: rank(10) },
      { npus: [4], graph: rank(20) },
    ],
    groups: { '1': [4, 5] },
  };
  const line = describeGraphFiles(set, 'out/step');
  expect(graphFilesSchema.parse(line)).toEqual({
    instance: 1,
    iteration: 7,
    lane: 0,
    releaseNs: 100,
    prefix: 'out/step',
    npus: [4, 5],
    nodes: 6,
    computeNs: 25,
    commBytes: 64,
    groups: { '1': [4, 5] },
  });
  expect(graphFileName(line.prefix, 4)).toBe('out/step.4.et');
});
