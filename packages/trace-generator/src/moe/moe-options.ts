/** How tokens choose experts, and how their ranks exchange them. */
import { z } from 'zod';

export const expertRoutings = [
  'uniform',
  'round_robin',
  'random',
  'proportional',
  'zipf',
  'file',
] as const;
export type ExpertRouting = (typeof expertRoutings)[number];

export const expertDispatches = ['all_gather', 'all_to_all'] as const;

const share = z.number().nonnegative();

export const moeOptionsSchema = z
  .strictObject({
    routing: z
      .enum(expertRoutings)
      .default('uniform')
      .describe('how the gate spreads tokens over experts'),
    zipfExponent: z.number().nonnegative().default(1).describe('of `zipf`; 0 = uniform'),
    loads: z
      .array(z.array(share).min(1))
      .min(1)
      .optional()
      .describe('of `file`: relative load per expert, a list per layer or one for all layers'),
    seed: z.number().int().nonnegative().default(0).describe('of `random` and `zipf`'),
    dispatch: z
      .enum(expertDispatches)
      .default('all_gather')
      .describe('all_gather and reduce_scatter, or all_to_all of the routed tokens only'),
  })
  .describe('Mixture-of-experts options');

export type MoeOptions = z.infer<typeof moeOptionsSchema>;
export type MoeSettings = z.input<typeof moeOptionsSchema>;
