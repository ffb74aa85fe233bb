/** What the remote memories of an ASTRA-sim run moved, and that one NPU for all counts for all. */
import { GraphBuilder, NodeType } from '@astrolabe/chakra';
import { parseAstraMemory } from '@astrolabe/config';
import { expect, test } from 'vitest';
import { network, simulate } from './astra.test-helper.js';

/** Every NPU loads 1000 bytes: 100 ns and 1000 / 50. */
function counted(type: string, fast: 'always' | 'never' = 'never'): unknown {
  const builder = new GraphBuilder();
  builder.setTensorSize(builder.addNode(NodeType.memLoad, 'weights'), 1000);
  const file = {
    ...{ 'memory-type': type, 'remote-mem-latency': 100, 'remote-mem-bw': 50 },
    ...{ 'num-nodes': 2, 'num-npus-per-node': 2 },
  };
  const more = { memory: parseAstraMemory(file, 'memory.json', 'compat') };
  const options = { net: network(['Ring', 4]), graphs: builder.finish(), more };
  return simulate(options, fast).counters().memory;
}

const device = (number: number, accesses: number): object => ({
  tier: 'remote',
  device: number,
  bytes: 1000 * accesses,
  busyNs: 120 * accesses,
  accesses,
});

test('a pool, a memory per node, one per NPU', () => {
  expect(counted('MEMORY_POOL')).toEqual([device(0, 4)]);
  expect(counted('PER_NODE_MEMORY_EXPANSION')).toEqual([device(0, 2), device(1, 2)]);
  const own = [0, 1, 2, 3].map((npu) => device(npu, 1));
  expect(counted('PER_NPU_MEMORY_EXPANSION')).toEqual(own);
  expect(counted('PER_NPU_MEMORY_EXPANSION', 'always')).toEqual(own);
});
