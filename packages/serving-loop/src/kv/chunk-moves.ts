/** Chunks of KV as bytes between each NPU of an instance and the tier, for the machine. */
import type { Instance } from '@astrolabe/config';
import type { MemoryMove } from '@astrolabe/trace-generator';
import type { TierChunk } from './kv-tiers.js';

/** One entry per tier, device and NPU; chunks on CXL are spread over its devices by content. */
export function chunkMoves(
  instance: Instance,
  chunks: readonly TierChunk[],
  direction: MemoryMove['direction'],
): MemoryMove[] {
  const moves = new Map<string, MemoryMove>();
  for (const { tier, key } of chunks) {
    const device = tier.name === 'cxl' ? cxlDevice(instance, tier, key) : tier.node;
    instance.npus.forEach((npu, rank) => {
      const id = `${tier.name}/${device}/${npu}`;
      const move = moves.get(id) ?? { npu, tier: tier.name, device, direction, bytes: 0 };
      move.bytes += tier.rankBytes[rank];
      moves.set(id, move);
    });
  }
  return [...moves.values()];
}

/**
 * A chunk goes by its last block's content, and those of a prompt are numbered on: neighbours are a
 * chunk's blocks apart, and lie on devices in turn.
 */
function cxlDevice({ engine }: Instance, tier: TierChunk['tier'], key: number): number {
  const blocksPerChunk = tier.chunkTokens / engine.blockSize;
  return Math.floor(key / blocksPerChunk) % tier.numDevices;
}
