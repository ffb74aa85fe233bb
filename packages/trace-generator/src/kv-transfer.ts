/**
 * KV cache on its way from one instance to another: what prefill/decode disaggregation moves. One
 * NDJSON line on a pipe, beside iterations. On the machine it is a graph set on lane 1 whose
 * `instance` is the receiver and whose `iteration` is the transfer's number, so that its completion
 * can be told from those of iterations (lane 0).
 */
import { z } from 'zod';

const count = z.number().int().nonnegative();

export const transferSchema = z
  .strictObject({
    transfer: count.describe('0-based number of the transfer within the run'),
    request: count.describe('request index'),
    from: count.describe('instance that holds the KV'),
    to: count.describe('instance that gets it'),
    releaseNs: count.describe('it cannot start earlier'),
    tokens: z.number().int().positive().describe('tokens whose KV moves, whole blocks'),
    layerwise: z.boolean().optional().describe('one message a layer instead of one for all'),
    pull: z.boolean().optional().describe('the receiver asks first'),
    inStep: z
      .boolean()
      .optional()
      .describe(
        'the sends are nodes of the step of `from` that names this transfer in kvSends, each behind ' +
          'its layer; this record stands for the receives only',
      ),
  })
  .describe('Transfer: KV of one request from one instance to another');

export type Transfer = z.infer<typeof transferSchema>;

/** Lane of transfers on the machine. */
export const transferLane = 1;
