/** Moves between devices and tiers: one memory node each, on the lane the iteration names. */
import { NodeType, StringTable, TensorLocation } from '@astrolabe/chakra';
import { describe, expect, it } from 'vitest';
import { loadLane, lowerMoves } from './moves.js';

describe('lowerMoves', () => {
  it('gives every NPU its own nodes, side by side', () => {
    const set = lowerMoves(
      {
        instance: 1,
        iteration: 4,
        releaseNs: 70,
        lane: loadLane,
        moves: [
          { npu: 2, tier: 'host', device: 0, direction: 'load', bytes: 100 },
          { npu: 3, tier: 'host', device: 0, direction: 'load', bytes: 100 },
          { npu: 2, tier: 'cxl', device: 5, direction: 'store', bytes: 7 },
        ],
      },
      new StringTable(),
    );
    expect(set).toMatchObject({ instance: 1, iteration: 4, releaseNs: 70, lane: loadLane });
    expect(set.programs.map(({ npus }) => npus)).toEqual([[2], [3]]);
    const { graph } = set.programs[0];
    expect([...graph.type.slice(0, 2)]).toEqual([NodeType.memLoad, NodeType.memStore]);
    expect([...graph.tensorSizeBytes.slice(0, 2)]).toEqual([100, 7]);
    expect([...graph.tensorLoc.slice(0, 2)]).toEqual([TensorLocation.remote, TensorLocation.cxl]);
    expect([...graph.tensorDevice.slice(0, 2)]).toEqual([0, 5]);
    expect(graph.dataDep).toHaveLength(0);
  });
});
