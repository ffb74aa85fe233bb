/**
 * KV on its way between an instance's devices and the tiers below them (host memory, CXL, storage):
 * what a recall reads and a write-down writes. An iteration that only moves becomes one memory node
 * per entry, side by side, on a lane of its own beside the engine's steps.
 */
import {
  GraphBuilder,
  type GraphSet,
  NodeType,
  type StringTable,
  TensorLocation,
} from '@astrolabe/chakra';
import { z } from 'zod';

const count = z.number().int().nonnegative();

export const memoryMoveSchema = z
  .strictObject({
    npu: count,
    tier: z.enum(['host', 'cxl', 'storage']),
    device: count.describe('node of the host memory or storage, or the CXL device'),
    direction: z.enum(['load', 'store']).describe('load: towards the NPU'),
    bytes: z.number().int().positive(),
  })
  .describe('MemoryMove: bytes between one NPU and a memory tier');

export type MemoryMove = z.infer<typeof memoryMoveSchema>;

/** Lanes of loads and of stores on the machine: a link carries both ways at once. */
export const loadLane = 2;
export const storeLane = 3;

const locations = {
  host: TensorLocation.remote,
  cxl: TensorLocation.cxl,
  storage: TensorLocation.storage,
} as const;

interface MovingIteration {
  readonly instance: number;
  readonly iteration: number;
  readonly releaseNs: number;
  readonly lane: number;
  readonly moves: readonly MemoryMove[];
}

export function lowerMoves(moving: MovingIteration, strings: StringTable): GraphSet {
  const byNpu = new Map<number, MemoryMove[]>();
  for (const move of moving.moves) {
    const list = byNpu.get(move.npu) ?? [];
    list.push(move);
    byNpu.set(move.npu, list);
  }
  return {
    instance: moving.instance,
    iteration: moving.iteration,
    releaseNs: moving.releaseNs,
    lane: moving.lane,
    programs: [...byNpu].map(([npu, moves]) => ({
      npus: [npu],
      graph: graphOf(moves, strings),
    })),
    groups: {},
  };
}

function graphOf(moves: readonly MemoryMove[], strings: StringTable) {
  const builder = new GraphBuilder(moves.length, strings);
  for (const { tier, device, direction, bytes } of moves) {
    const type = direction === 'load' ? NodeType.memLoad : NodeType.memStore;
    const node = builder.addNode(type, `kv.${direction}.${tier}`);
    builder.setTensorSize(node, bytes);
    builder.setTensorLocation(node, locations[tier], device);
  }
  return builder.finish();
}
