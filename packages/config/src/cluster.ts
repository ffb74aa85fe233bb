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
/** Of more, bytes, joules and sums over a run are no numbers any more. */
const most = 1e15;
const amount = z.number().positive().max(most);
const nonNegative = z.number().nonnegative().max(most);

/** PCIe 4.0 x16 moves 31.5 GB/s, of which DMA of blocks of a megabyte gets about 85 %. */
export const defaultHostLinkGBps = 26.8;

/** Keys of LLMServingSim's files that decide nothing here. */
const unused = 'of LLMServingSim; has no effect here, see kv_tiers';

const placementRuleSchema = z.strictObject({
  weights: z.string().optional().describe('npu, cpu or cxl:<device>'),
  kv_loc: z.string().optional().describe(unused),
  kv_evict_loc: z.string().optional().describe(unused),
});

export const placementSchema = z.strictObject({
  default: placementRuleSchema.optional().describe('rule of what no other rule names'),
  blocks: z
    .array(placementRuleSchema.extend({ blocks: z.string().describe('e.g. 0-3,7') }))
    .optional()
    .describe('rules of ranges of decoder blocks'),
  layers: z
    .record(z.string(), placementRuleSchema)
    .optional()
    .describe('rules of operators by name; they win'),
});

export const npuMemorySchema = z.strictObject({
  mem_size: amount.describe('device memory, GiB'),
  mem_bw: amount.describe('device memory bandwidth, GB/s'),
  mem_latency: nonNegative.default(0).describe('ns'),
  mem_util: z.number().gt(0).max(1).optional().describe('share the engine may use; default: 0.9'),
  device_bytes: positive.optional().describe('bytes the device really reports, if known'),
});

export const instanceSchema = z.strictObject({
  name: z.string().optional().describe('in results; default: instance0 and so on'),
  model_name: z.string().describe('a shipped model, or the path of a Hugging Face config.json'),
  hardware: z.string().describe('device name, as in the profiles'),
  npu_mem: npuMemorySchema.describe('memory of each device'),
  pd_type: z
    .enum(['prefill', 'decode'])
    .nullish()
    .describe('half of a disaggregated service; absent: both halves'),
  num_npus: positive.optional().describe('devices; default: tp_size x pp_size'),
  tp_size: positive.optional().describe('tensor-parallel degree; default: num_npus / pp_size'),
  pp_size: positive.optional().describe('pipeline stages; default: num_npus / tp_size'),
  ep_size: positive
    .optional()
    .describe(
      'shares the experts are divided into; 1 slices each over TP; default: tp_size, that of ffn where there is one',
    ),
  dp_group: z
    .string()
    .nullish()
    .describe('instances of one name are data-parallel ranks; with experts they step together'),
  npu_num: positive.optional().describe('first generation: devices of the instance'),
  npu_group: positive.optional().describe('first generation: pipeline stages'),
  placement: placementSchema.optional().describe('weights off the device'),
  router_weight: amount
    .optional()
    .describe('speed relative to other instances, for weighted routing'),
  device_cost_per_hour: nonNegative
    .optional()
    .describe('price of a device for an hour, in any currency; of all instances or of none'),
  weight_prefetch_layers: count
    .default(1)
    .describe('weights off the device are fetched so many layers ahead; 0 = on demand'),
  experts: expertOptionsSchema.optional().describe('routing and place of experts'),
  stage_hardware: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('device of every pipeline stage, when they differ'),
  stage_npu_mem: z
    .array(npuMemorySchema)
    .min(1)
    .optional()
    .describe('memory of every stage\u2019s devices; default: npu_mem for all'),
  ffn: z
    .strictObject({
      hardware: z.string().describe('device name, as in the profiles'),
      tp_size: positive.default(1).describe('devices the blocks are divided over'),
      npu_mem: npuMemorySchema.describe('memory of each of them'),
      micro_batches: positive
        .default(2)
        .describe('parts of a batch that attention and feed-forward devices work on in turn'),
    })
    .optional()
    .describe('feed-forward blocks or experts run on devices of their own'),
  ...engineOverridesSchema.shape,
  enable_local_offloading: z.boolean().optional().describe(unused),
  enable_block_copy: z.boolean().optional().describe(unused),
});

export const hostMemorySchema = z.strictObject({
  mem_size: amount.describe('GiB'),
  mem_bw: amount.describe('GB/s'),
  mem_latency: nonNegative.default(0).describe('ns'),
  pim_config: z.string().optional().describe('name of a PIM device file'),
});

/** Whatever part of a node is left out draws nothing: a comparison of devices needs `npu` alone. */
export const powerSchema = z.strictObject({
  base_node_power: nonNegative.default(0).describe('W of board, fans and what else always runs'),
  npu: z.record(
    z.string(),
    z.strictObject({
      idle_power: nonNegative.describe('W'),
      standby_power: nonNegative.describe('W, while a step keeps it waiting and for a time after'),
      active_power: nonNegative.describe('W, while it computes or communicates'),
      standby_duration: nonNegative.describe('s in standby after the last step'),
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
  cpu: z
    .strictObject({
      idle_power: nonNegative.describe('W'),
      active_power: nonNegative.describe('W at full utilisation'),
      util: z.number().min(0).max(1).describe('utilisation with no step running'),
      active_util: z
        .number()
        .min(0)
        .max(1)
        .optional()
        .describe('utilisation while a step runs; default: 0.7, or util if larger'),
    })
    .default({ idle_power: 0, active_power: 0, util: 0 })
    .describe('host processors; absent: not counted'),
  dram: z
    .strictObject({
      dimm_size: amount.optional().describe('GB per DIMM'),
      idle_power: nonNegative.optional().describe('W per DIMM'),
      energy_per_bit: nonNegative.describe('pJ'),
    })
    .default({ energy_per_bit: 0 })
    .describe('host memory; absent: not counted'),
  link: z
    .strictObject({
      num_links: count.describe('links of the node'),
      idle_power: nonNegative.describe('W per link'),
      energy_per_bit: nonNegative.describe('pJ'),
    })
    .default({ num_links: 0, idle_power: 0, energy_per_bit: 0 })
    .describe('links between devices; absent: not counted'),
  nic: z
    .strictObject({
      num_nics: count.describe('network cards of the node'),
      idle_power: nonNegative.describe('W per card'),
    })
    .default({ num_nics: 0, idle_power: 0 })
    .describe('network cards; absent: not counted'),
  storage: z
    .strictObject({
      num_devices: count.describe('storage devices of the node'),
      idle_power: nonNegative.describe('W per device'),
      energy_per_bit: nonNegative.default(0).describe('pJ'),
    })
    .default({ num_devices: 0, idle_power: 0, energy_per_bit: 0 })
    .describe('storage devices; absent: not counted'),
});

export const nodeSchema = z.strictObject({
  num_instances: positive.optional().describe('checked against instances'),
  cpu_mem: hostMemorySchema.describe('host memory'),
  storage: storageSchema.optional().describe('below host memory'),
  host_link_bw: amount
    .default(defaultHostLinkGBps)
    .describe('GB/s of 10^9 between each device and host memory, each way; PCIe'),
  link_bw: amount
    .optional()
    .describe('GB/s per direction between devices of this node; default: as the cluster says'),
  instances: z.array(instanceSchema).min(1).describe('model replicas'),
  power: powerSchema.optional().describe('constants of the power meter'),
});

export const cxlMemorySchema = z.strictObject({
  mem_size: amount.describe('GiB per device'),
  mem_bw: amount.describe('GB/s per device'),
  mem_latency: nonNegative.describe('ns'),
  num_devices: positive.default(1).describe('memory devices'),
});

const perDimension = <T extends z.ZodType>(value: T) => z.union([value, z.array(value).min(1)]);

export const clusterFileSchema = z
  .strictObject({
    num_nodes: positive.optional().describe('checked against nodes'),
    link_bw: perDimension(amount).describe('GB/s per direction; a list is per dimension'),
    link_latency: perDimension(nonNegative).describe('ns per hop'),
    link_nominal: z
      .boolean()
      .optional()
      .describe(
        "link_bw and link_latency are a data sheet's: a link that the calibration fitted for the " +
          'devices replaces them inside tensor-parallel groups, unless it is faster',
      ),
    topology: topologySchema.optional().describe('links that exist; else link_bw everywhere'),
    measured_links: z
      .array(measuredLinksSchema)
      .min(1)
      .optional()
      .describe('measured collectives and messages between stages, in place of the links'),
    kv_transfer: kvTransferSchema.optional().describe('prefill/decode disaggregation'),
    nodes: z.array(nodeSchema).min(1).describe('machines'),
    cxl_mem: cxlMemorySchema.optional().describe('CXL memory that all nodes reach'),
    kv_tiers: z.array(kvTierSchema).optional().describe('KV below the device, nearest first'),
  })
  .describe('Cluster file');

export type ClusterFile = z.infer<typeof clusterFileSchema>;
export type InstanceFile = z.infer<typeof instanceSchema>;
export type PowerFile = z.infer<typeof powerSchema>;
export type PlacementFile = z.infer<typeof placementSchema>;
