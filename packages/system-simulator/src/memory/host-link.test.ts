/** A tier behind each NPU's own link: the link delays the NPU, the tier serves others meanwhile. */
import { GraphBuilder, NodeType, TensorLocation } from '@astrolabe/chakra';
import { describe, expect, it } from 'vitest';
import { createMachine } from '../index.js';
import { type MachineSpec, ringCollectives } from '../machine-spec.js';

/** Nodes of 10 kB side by side on each of two NPUs. */
function finishTimes(
  linkBandwidthGBps: number | undefined,
  nodes: readonly NodeType[] = [NodeType.memLoad],
): number[] {
  const spec: MachineSpec = {
    numNpus: 2,
    network: {
      congestion: 'unaware',
      levels: [{ domain: [0, 0], bandwidthGBps: 1, latencyNs: 0 }],
    },
    collectives: ringCollectives,
    splits: 1,
    activeChunks: 1,
    endpointDelayNs: 0,
    localMemoryBandwidthGBps: 1,
    memory: {
      remote: {
        latencyNs: 0,
        bandwidthGBps: 100,
        contention: 'device',
        numDevices: 1,
        ...(linkBandwidthGBps === undefined ? {} : { linkBandwidthGBps }),
      },
    },
  };
  const machine = createMachine(spec);
  const builder = new GraphBuilder(1);
  for (const type of nodes) {
    const node = builder.addNode(type, 'access');
    builder.setTensorSize(node, 10_000);
    builder.setTensorLocation(node, TensorLocation.remote, 0);
  }
  const graph = builder.finish();
  const set = { instance: 0, iteration: 0, releaseNs: 0, lane: 0, groups: {} };
  machine.submit({ ...set, programs: [{ npus: [0, 1], graph }] });
  const done = machine.runUntil(1e9);
  return (done?.npus ?? []).map(({ finishNs }) => finishNs);
}

describe('host link', () => {
  it('carries one access of an NPU after another, each way', () => {
    const { memLoad, memStore } = NodeType;
    // The memory serves four in 400 ns; each NPU's two take 2000 ns on its link, from 0 and from 100 on.
    const [first, second] = finishTimes(10, [memLoad, memLoad]);
    expect(first).toBe(2000);
    expect(second).toBeGreaterThanOrEqual(2100);
    expect(second).toBeLessThanOrEqual(2200);
    expect(Math.max(...finishTimes(10, [memLoad, memStore]))).toBeLessThanOrEqual(1300);
  });

  it('two NPUs share the memory, each waits for its own link', () => {
    // 10 kB take 100 ns at the memory, one NPU after the other, and 1000 ns on a link of 10 GB/s.
    expect(finishTimes(undefined)).toEqual([100, 200]);
    expect(finishTimes(10)).toEqual([1000, 1100]);
    // A link as fast as the memory changes nothing.
    expect(finishTimes(100)).toEqual([100, 200]);
  });
});
