/**
 * How a mixture-of-experts instance routes tokens to experts, exchanges them between ranks, and where
 * it keeps experts that do not fit the device.
 */
import { z } from 'zod';

const expertRoutings = [
  'uniform',
  'round_robin',
  'random',
  'proportional',
  'zipf',
  'file',
  'module',
] as const;
export type ExpertRouting = (typeof expertRoutings)[number];

const expertDispatches = ['all_gather', 'all_to_all'] as const;

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();
const share = z.number().nonnegative();

const expertOffloadSchema = z
  .strictObject({
    tier: z.enum(['cpu', 'cxl']).default('cpu').describe('where experts live'),
    device: count.default(0).describe('CXL device'),
    cached_experts: count
      .default(0)
      .describe('experts of every layer that stay on each rank, the most loaded first'),
    prefetch: z
      .boolean()
      .default(true)
      .describe('experts of a layer are fetched while the layer before runs; else on demand'),
  })
  .describe('Experts outside device memory');

/** Names and defaults of vLLM's EPLBConfig. */
export const expertBalancingSchema = z
  .strictObject({
    num_redundant_experts: count
      .default(0)
      .describe("replicas beyond the model's experts in every layer, on all ranks together"),
    window_size: positive
      .default(1000)
      .describe('steps before a rearrangement whose loads decide it'),
    step_interval: positive
      .default(3000)
      .describe('steps between rearrangements; the first comes after a quarter of it'),
  })
  .describe('Expert-parallel load balancing (EPLB)');

export const expertOptionsSchema = z
  .strictObject({
    routing: z
      .enum(expertRoutings)
      .default('uniform')
      .describe('how the gate spreads tokens over experts'),
    zipf_exponent: z.number().nonnegative().default(1).describe('of zipf; 0 = uniform'),
    loads: z
      .array(z.array(share).min(1))
      .min(1)
      .optional()
      .describe('of file: relative load per expert, a list per layer or one for all layers'),
    module: z
      .string()
      .optional()
      .describe(
        'of module: JavaScript file, relative to the cluster file, whose default export decides',
      ),
    seed: count.default(0).describe('of random and zipf'),
    dispatch: z
      .enum(expertDispatches)
      .default('all_gather')
      .describe('all_gather and reduce_scatter, or all_to_all of the routed tokens only'),
    offload: expertOffloadSchema.optional().describe('experts outside device memory'),
    eplb: expertBalancingSchema
      .optional()
      .describe('replicas of hot experts, and experts rearranged by load; absent: linear'),
  })
  .describe('Experts of an instance');

export type ExpertOptions = z.infer<typeof expertOptionsSchema>;
/** As written: everything may be left out. */
export type ExpertSettings = z.input<typeof expertOptionsSchema>;
export type ExpertBalancing = z.infer<typeof expertBalancingSchema>;
