/**
 * KV tiers below the device: what a cluster file says about them. Order is nearest first. Lookups go
 * on from the device's own prefix; completed chunks are written to every tier.
 */
import { z } from 'zod';

const kvTierNames = ['host', 'cxl', 'storage'] as const;
export type KvTierName = (typeof kvTierNames)[number];

export const kvTierSchema = z.strictObject({
  tier: z.enum(kvTierNames).describe('which memory'),
  shared: z
    .boolean()
    .default(false)
    .describe(
      'one pool for all instances that reach it: of the node (host, storage) or the cluster (cxl); else an equal part each',
    ),
  capacity: z
    .number()
    .positive()
    .optional()
    .describe(
      'GiB of the pools of one node (host, storage) or of all devices (cxl) together; default: all there is',
    ),
  chunk_tokens: z
    .number()
    .int()
    .positive()
    .default(256)
    .describe('tokens of one entry, whole blocks; 256 as LMCache'),
  load: z
    .enum(['async', 'blocking'])
    .default('async')
    .describe('async: the request waits, the batch goes on; blocking: the batch waits'),
  save: z
    .enum(['all', 'prompt'])
    .default('all')
    .describe('which completed chunks are written: of prompt and output, or of the prompt only'),
});

export type KvTierFile = z.infer<typeof kvTierSchema>;

/** Where weights, KV overflow and files of one node are stored. */
export const storageSchema = z.strictObject({
  mem_size: z.number().positive().max(1e15).describe('GiB'),
  mem_bw: z.number().positive().max(1e15).describe('GB/s'),
  mem_latency: z.number().nonnegative().default(100_000).describe('ns'),
});
