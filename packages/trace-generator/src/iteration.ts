/** One engine step of one instance: what the scheduler decided. One NDJSON line on a pipe. */
import { UserError } from '@astrolabe/base';
import { z } from 'zod';
import { memoryMoveSchema } from './moves.js';

const count = z.number().int().nonnegative();

export const iterationSchema = z
  .strictObject({
    instance: count.describe('instance index in the cluster'),
    iteration: count.describe('0-based number of the step within the instance'),
    releaseNs: count.describe('the step cannot start earlier'),
    requests: z.array(count).describe('request indices, in batch order'),
    newTokens: z.array(z.number().int().positive()).describe('tokens computed now, per request'),
    contextTokens: z.array(count).describe('tokens already in the KV cache, per request'),
    paddedTokens: count
      .optional()
      .describe('total tokens after padding, when a DP group steps together'),
    wave: count
      .optional()
      .describe('number of the data-parallel step; equal on all ranks that share experts'),
    waveTokens: z
      .array(z.number().int().positive())
      .optional()
      .describe('tokens of every rank of the wave before padding, in order of instances'),
    kvSends: z
      .array(
        z.strictObject({
          transfer: count.describe('transfer whose receives are at `to`'),
          to: count.describe('instance'),
          tokens: z.number().int().positive().describe('tokens whose KV moves, whole blocks'),
        }),
      )
      .optional()
      .describe('KV that this step sends on, layer by layer as it is computed'),
    lane: count
      .optional()
      .describe('0 = engine steps (default); 2 and 3 = KV from and to tiers, moves only'),
    moves: z
      .array(memoryMoveSchema)
      .min(1)
      .optional()
      .describe('KV between devices and tiers; such an iteration computes nothing'),
    draftNs: count
      .optional()
      .describe('drafting of speculative tokens: device time of the step beside its operators'),
    warmUpNs: count.optional().describe('host warm-up that delays this step'),
  })
  .describe('Iteration: one batch of one instance');

export type Iteration = z.infer<typeof iterationSchema>;
export type KvSend = NonNullable<Iteration['kvSends']>[number];

/**
 * What the schema cannot say: lists of the same length, and work to do, of one sort.
 * @throws UserError naming the field
 */
export function checkIteration(iteration: Iteration): void {
  const { requests, newTokens, contextTokens } = iteration;
  if (newTokens.length !== requests.length || contextTokens.length !== requests.length) {
    throw new UserError(
      `requests, newTokens and contextTokens have ${requests.length}, ${newTokens.length} and ` +
        `${contextTokens.length} entries: they must be as many`,
    );
  }
  if (iteration.moves !== undefined) {
    if (requests.length === 0) return;
    throw new UserError(`moves beside ${requests.length} requests: such an iteration only moves`);
  }
  if ((iteration.lane ?? 0) !== 0) {
    throw new UserError(`lane ${iteration.lane} without moves: engine steps run on lane 0`);
  }
  const dummy = iteration.paddedTokens !== undefined || iteration.waveTokens !== undefined;
  if (requests.length === 0 && !dummy) {
    throw new UserError('no requests, and no paddedTokens or waveTokens as an idle rank has');
  }
}
