/**
 * ASTRA-sim's remote memory file (JSON). Latency ns, bandwidth GB/s of 10^9; `compat` truncates both
 * to integers as ASTRA-sim does (0.5 becomes 0: infinitely fast).
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { ReadMode } from './astra-network.js';

const astraMemoryTypes = [
  'NO_MEMORY_EXPANSION',
  'PER_NODE_MEMORY_EXPANSION',
  'PER_NPU_MEMORY_EXPANSION',
  'MEMORY_POOL',
] as const;

const astraMemorySchema = z
  .strictObject({
    'memory-type': z.enum(astraMemoryTypes),
    'remote-mem-latency': z.number().nonnegative().default(0).describe('ns'),
    'remote-mem-bw': z.number().nonnegative().default(0).describe('GB/s; 0 moves in no time'),
    'num-nodes': z.number().int().positive().optional(),
    'num-npus-per-node': z.number().int().positive().optional(),
  })
  .describe('ASTRA-sim remote memory file');

const compatMemorySchema = z.looseObject({
  'memory-type': z.string({ error: 'missing: ASTRA-sim divides by zero here' }),
  'remote-mem-latency': z.number().default(0),
  'remote-mem-bw': z.number().default(0),
  'num-nodes': z.number().optional(),
  'num-npus-per-node': z.number().optional(),
});

export interface AstraMemory {
  readonly type: (typeof astraMemoryTypes)[number];
  readonly latencyNs: number;
  readonly bandwidthGBps: number;
  /** Of PER_NODE_MEMORY_EXPANSION. */
  readonly npusPerNode: number;
}

/**
 * @param exact keep fractions of latency and bandwidth
 * @throws UserError with file and JSON path
 */
export function parseAstraMemory(
  value: unknown,
  at: string,
  mode: ReadMode,
  exact = mode === 'default',
): AstraMemory {
  const compat = mode === 'compat';
  const file = compat
    ? parseWith(compatMemorySchema, value, at)
    : parseWith(astraMemorySchema, value, at);
  const type = file['memory-type'];
  if (!(astraMemoryTypes as readonly string[]).includes(type)) {
    throw new UserError(`"${type}" is no memory type: ${astraMemoryTypes.join(', ')}`, {
      at: `${at}: memory-type`,
    });
  }
  const perNode = file['num-npus-per-node'];
  if (type === 'PER_NODE_MEMORY_EXPANSION' && (perNode === undefined || perNode < 1)) {
    throw new UserError('is needed with PER_NODE_MEMORY_EXPANSION', {
      at: `${at}: num-npus-per-node`,
    });
  }
  const whole = (n: number): number => (exact ? n : Math.trunc(n));
  return {
    type: type as AstraMemory['type'],
    latencyNs: whole(file['remote-mem-latency']),
    bandwidthGBps: whole(file['remote-mem-bw']),
    npusPerNode: perNode ?? 1,
  };
}
