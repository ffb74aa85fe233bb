/**
 * The cluster file: nodes, devices, memory, links, instances. Reads LLMServingSim's files of both
 * generations as they are (`num_npus`/`tp_size`/... and `npu_num`/`npu_group`) and adds what they
 * cannot say. Units as there: capacities in GiB, memory bandwidth in GB/s (10^9), link bandwidth in
 * GB/s of 2^30 as ASTRA-sim counts it, latencies in ns, power in W, energy in pJ per bit.
 */
import { z } from 'zod';
import { engineOverridesSchema } from './engine.js';
import { expertOptionsSchema } from './experts.js';
import { kvTransferSchema, measuredLinksSchema, topologySchema } from './interconnect.js';
import { kvTierSchema, storageSchema } from './kv-tiers.js';

const positive = z.number().int().positive();
const count = z.number().int().nonnegative();
const amount = z.number().positive();
const nonNegative = z.number().nonnegative();

/** PCIe 4.0 x16 moves 31.5 GB/s, of which DMA of blocks of a megabyte gets about 85 %. */
export const defaultHostLinkGBps = 26.8;

const placementRuleSchema = z.strictObject({
  weights: z.string().optional().describe('npu, cpu or cxl:<device>'),
  kv_loc: z.string().optional(),
  kv_evict_loc: z.string().optional(),
});

export const placementSchema = z.strictObject({
  default: placementRuleSchema.optional(),
  blocks: z
    .array(placementRuleSchema.extend({ blocks: z.string().describe('e.g. 0-3,7') }))
    .optional(),
  layers: z.record(z.string(), placementRuleSchema).optional(),
});

export const npuMemorySchema = z.strictObject({
  mem_size: amount.describe('device memory, GiB'),
  mem_bw: amount.describe('device memory bandwidth, GB/s'),
  mem_latency: nonNegative.default(0).describe('ns'),
  mem_util: z.number().gt(0).max(1).optional().describe('share the engine may use'),
  device_bytes: positive.optional().describe('bytes the device really reports, if known'),
});

export const instanceSchema = z.strictObject({
  name: z.string().optional(),
  model_name: z.string().describe('a shipped model, or the path of a Hugging Face config.json'),
  hardware: z.string().describe('device name, as in the profiles'),
  npu_mem: npuMemorySchema,
  pd_type: z.enum(['prefill', 'decode']).nullish(),
  num_npus: positive.optional(),
  tp_size: positive.optional(),
  pp_size: positive.optional(),
  ep_size: positive.optional(),
  dp_group: z.string().nullish(),
  npu_num: positive.optional().describe('first generation: devices of the instance'),
  npu_group: positive.optional().describe('first generation: pipeline stages'),
  placement: placementSchema.optional(),
  router_weight: amount
    .optional()
    .describe('speed relative to other instances, for weighted routing'),
  weight_prefetch_layers: count
    .default(1)
    .describe('weights off the device are fetched so many layers ahead; 0 = on demand'),
  experts: expertOptionsSchema.optional(),
  stage_hardware: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('device of every pipeline stage, when they differ'),
  ffn: z
    .strictObject({
      hardware: z.string(),
      tp_size: positive.default(1),
      npu_mem: npuMemorySchema,
      micro_batches: positive
        .default(2)
        .describe('parts of a batch that attention and feed-forward devices work on in turn'),
    })
    .optional()
    .describe('feed-forward blocks or experts run on devices of their own'),
  ...engineOverridesSchema.shape,
  enable_local_offloading: z.boolean().optional(),
  enable_block_copy: z.boolean().optional(),
});

export const hostMemorySchema = z.strictObject({
  mem_size: amount.describe('GiB'),
  mem_bw: amount.describe('GB/s'),
  mem_latency: nonNegative.default(0).describe('ns'),
  pim_config: z.string().optional().describe('name of a PIM device file'),
});

export const powerSchema = z.strictObject({
  base_node_power: nonNegative.describe('W'),
  npu: z.record(
    z.string(),
    z.strictObject({
      idle_power: nonNegative,
      standby_power: nonNegative,
      active_power: nonNegative,
      standby_duration: nonNegative.describe('s'),
      power_cap: amount
        .optional()
        .describe('W; the device never draws more: its clock falls, and computation takes longer'),
      hbm_energy_per_bit: nonNegative
        .optional()
        .describe('pJ per bit of its own memory; default: that of dram'),
      hbm_in_board_power: z
        .boolean()
        .default(true)
        .describe('active_power is of the whole board, memory included'),
    }),
  ),
  idle_npus: z
    .record(z.string(), count)
    .optional()
    .describe('devices in the box that no instance uses, by hardware; they draw idle power'),
  cpu: z.strictObject({
    idle_power: nonNegative,
    active_power: nonNegative,
    util: z.number().min(0).max(1).describe('utilisation with no step running'),
    active_util: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('utilisation while a step runs; default: 0.7, or util if larger'),
  }),
  dram: z.strictObject({
    dimm_size: amount.optional().describe('GB per DIMM'),
    idle_power: nonNegative.optional().describe('W per DIMM'),
    energy_per_bit: nonNegative.describe('pJ'),
  }),
  link: z.strictObject({
    num_links: count,
    idle_power: nonNegative,
    energy_per_bit: nonNegative.describe('pJ'),
  }),
  nic: z.strictObject({ num_nics: count, idle_power: nonNegative }),
  storage: z.strictObject({
    num_devices: count,
    idle_power: nonNegative,
    energy_per_bit: nonNegative.default(0).describe('pJ'),
  }),
});

export const nodeSchema = z.strictObject({
  num_instances: positive.optional(),
  cpu_mem: hostMemorySchema,
  storage: storageSchema.optional(),
  host_link_bw: amount
    .default(defaultHostLinkGBps)
    .describe('GB/s between each device and host memory, each way; PCIe'),
  instances: z.array(instanceSchema).min(1),
  power: powerSchema.optional(),
});

export const cxlMemorySchema = z.strictObject({
  mem_size: amount.describe('GiB per device'),
  mem_bw: amount.describe('GB/s per device'),
  mem_latency: nonNegative.describe('ns'),
  num_devices: positive.default(1),
});

const perDimension = <T extends z.ZodType>(value: T) => z.union([value, z.array(value).min(1)]);

export const clusterFileSchema = z
  .strictObject({
    num_nodes: positive.optional(),
    link_bw: perDimension(amount).describe('GB/s per direction; a list is per dimension'),
    link_latency: perDimension(nonNegative).describe('ns per hop'),
    topology: topologySchema.optional().describe('links that exist; else link_bw everywhere'),
    measured_links: z
      .array(measuredLinksSchema)
      .min(1)
      .optional()
      .describe('measured collectives and messages between stages, in place of the links'),
    kv_transfer: kvTransferSchema.optional().describe('prefill/decode disaggregation'),
    nodes: z.array(nodeSchema).min(1),
    cxl_mem: cxlMemorySchema.optional(),
    kv_tiers: z.array(kvTierSchema).optional().describe('KV below the device, nearest first'),
  })
  .describe('Cluster file');

export type ClusterFile = z.infer<typeof clusterFileSchema>;
export type InstanceFile = z.infer<typeof instanceSchema>;
export type PowerFile = z.infer<typeof powerSchema>;
export type PlacementFile = z.infer<typeof placementSchema>;
