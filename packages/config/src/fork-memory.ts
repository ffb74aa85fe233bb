/**
 * Memory file (JSON) of LLMServingSim's ASTRA-sim: tiers `local_mem`, `remote_mem`, `cxl_mem`, or one
 * flat object, which is the remote tier. Latency ns, bandwidth GB/s of 10^9, both cut to integers.
 */
import { parseWith, UserError } from '@astrolabe/base';
import { z } from 'zod';

const tierSchema = z.looseObject({
  'memory-type': z.enum([
    'NO_MEMORY_EXPANSION',
    'PER_NPU_MEMORY_EXPANSION',
    'PER_NODE_MEMORY_EXPANSION',
    'MEMORY_POOL',
  ]),
  'mem-latency': z.number().nonnegative().default(0).describe('ns'),
  'mem-bw': z.number().nonnegative().default(0).describe('GB/s; 0 moves in no time'),
  'num-devices': z.number().int().positive().default(1),
  'pim-channels': z.number().int().nonnegative().default(0),
});

const fileSchema = z
  .looseObject({
    local_mem: tierSchema.optional(),
    remote_mem: tierSchema.optional(),
    cxl_mem: tierSchema.optional(),
  })
  .describe("memory file of LLMServingSim's ASTRA-sim");

export interface ForkTier {
  readonly latencyNs: number;
  readonly bandwidthGBps: number;
  /** One server per device; otherwise accesses never wait. */
  readonly perDevice: boolean;
  readonly numDevices: number;
  readonly pimChannels: number;
}

export type ForkMemory = Partial<Record<'local' | 'remote' | 'cxl', ForkTier>>;

/** @throws UserError with file and JSON path */
export function parseForkMemory(value: unknown, at: string): ForkMemory {
  if (typeof value === 'object' && value !== null && 'memory-type' in value) {
    return tiers({ remote: parseWith(tierSchema, value, at) });
  }
  const { local_mem, remote_mem, cxl_mem } = parseWith(fileSchema, value, at);
  if (local_mem === undefined && remote_mem === undefined && cxl_mem === undefined) {
    throw new UserError('expected memory-type, or any of local_mem, remote_mem, cxl_mem', { at });
  }
  return tiers({ local: local_mem, remote: remote_mem, cxl: cxl_mem });
}

type TierFile = z.infer<typeof tierSchema>;

function tiers(files: Record<string, TierFile | undefined>): ForkMemory {
  const memory: Record<string, ForkTier> = {};
  for (const [name, file] of Object.entries(files)) {
    // No expansion is no tier: an access to it is refused.
    if (file === undefined || file['memory-type'] === 'NO_MEMORY_EXPANSION') continue;
    memory[name] = {
      latencyNs: Math.trunc(file['mem-latency']),
      bandwidthGBps: Math.trunc(file['mem-bw']),
      perDevice: file['memory-type'] !== 'PER_NPU_MEMORY_EXPANSION',
      numDevices: file['num-devices'],
      pimChannels: file['pim-channels'],
    };
  }
  return memory;
}
