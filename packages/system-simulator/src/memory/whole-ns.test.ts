/** Latencies of a data sheet may be fractions; times are whole ns all the same. */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { parseAstraMemory } from '@astrolabe/config';
import { expect, test } from 'vitest';
import { finishes, network } from '../astra/astra.test-helper.js';
import { allRepairs } from '../astra/repairs.js';
import { replay, set, spec } from '../machine.test-helper.js';

/** 1000 bytes from remote memory, on the cluster from its device 0. */
function load(): GraphBuilder {
  const builder = new GraphBuilder();
  const node = builder.addNode(NodeType.memLoad, 'weights');
  builder.setTensorSize(node, 1000);
  builder.setTensorLocation(node, 2, 0);
  return builder;
}

/** 100.7 ns and 1000 / 3.3 = 303.03 ns, one NPU after the other. */
const endsNs = [403, 806];

test('on a cluster', () => {
  const remote = {
    latencyNs: 100.7,
    bandwidthGBps: 3.3,
    contention: 'device',
    numDevices: 1,
  } as const;
  const [{ npus, finishNs }] = replay(spec(2, { memory: { remote } }), [
    set(0, [{ npus: [0, 1], graph: load().finish() }]),
  ]);
  expect(npus.map((npu) => npu.finishNs)).toEqual(endsNs);
  expect(finishNs).toBe(806);
});

test("with ASTRA-sim's files and its defects repaired", () => {
  const file = { 'memory-type': 'MEMORY_POOL', 'remote-mem-latency': 100.7, 'remote-mem-bw': 3.3 };
  const more = {
    repairs: allRepairs(true),
    memory: parseAstraMemory(file, 'memory.json', 'default', true),
  };
  const graphs = load().finish();
  expect(finishes({ net: network(['Ring', 2]), graphs, more })).toEqual(endsNs);
});
