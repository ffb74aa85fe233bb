/** One engine step of one instance: what the scheduler decided. One NDJSON line on a pipe. */
import { z } from 'zod';

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
    warmUpNs: count.optional().describe('host warm-up that delays this step'),
  })
  .describe('Iteration: one batch of one instance');

export type Iteration = z.infer<typeof iterationSchema>;
