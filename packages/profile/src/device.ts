/**
 * A device from its data sheet: what a roofline needs to guess how long operators take without any
 * measurement. Efficiencies default to what well-tuned kernels reach on recent GPUs.
 */
import { z } from 'zod';

const positive = z.number().positive();
const share = z.number().positive().max(1.2);

export const deviceSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^(?!\.+$)[^/\\]+$/, 'expected a name without slashes: folders of profiles have it'),
    aliases: z.array(z.string()).default([]),
    vendor: z.string(),
    source: z.string().describe('which data sheet, and what in here is not from it'),
    peak_tflops: z
      .record(z.string(), positive)
      .describe('dense matrix peak per dtype (no sparsity), 10^12 operations/s'),
    memory_bandwidth_gb_s: positive.describe('GB = 10^9'),
    memory_gib: positive,
    tdp_watts: positive.optional().describe('power of the board'),
    link: z
      .strictObject({
        name: z.string(),
        gb_s: positive.describe('GB = 10^9, per direction and device, all its links together'),
      })
      .optional()
      .describe('between the devices of a node; absent: PCIe'),
    pcie_gb_s: positive.optional().describe('GB = 10^9, per direction'),
    board_source: z.string().optional().describe('which data sheet power and links are from'),
    compute_units: z.number().int().positive().describe('SMs, CUs, tensor cores sharing one tile'),
    vector_units: z
      .number()
      .int()
      .positive()
      .optional()
      .describe('that decodes are spread over, where they are more than compute_units'),
    works_in_tiles: z
      .boolean()
      .default(true)
      .describe(
        'false: one row costs its own arithmetic, not that of a tile (processing in memory)',
      ),
    cache_mib: positive.describe('last-level on-chip cache or scratchpad'),
    launch_ns: positive.default(2200).describe('shortest kernel'),
    gemm_efficiency: share.default(0.9).describe('of peak, on a full wave of tiles'),
    attention_efficiency: share.default(0.75).describe('of peak, on a full wave of tiles'),
    memory_efficiency: share.default(0.93).describe('of bandwidth, streaming weights'),
    kv_efficiency: share.default(0.95).describe('of bandwidth, streaming the KV cache'),
    packs_query_heads: z
      .boolean()
      .default(false)
      .describe('its attention kernels put the query heads of one KV head into one tile'),
    roofline_caution: z
      .string()
      .optional()
      .describe('what its roofline was found to get far wrong; the trust card of a run says it'),
  })
  .describe('Device: a data sheet');

export type Device = z.infer<typeof deviceSchema>;
