/** A request of the workload. One NDJSON line; lines are in order of arrival. */
import { z } from 'zod';

const count = z.number().int().nonnegative();
const id = z.union([z.string().min(1), count]);
const tokenId = z.number().int().nonnegative().max(0x7fffffff);

export const requestSchema = z
  .strictObject({
    id: id.describe('unique within the workload'),
    arrivalNs: count.describe(
      'arrival, ns from the start of the run; with `after`, not before this time',
    ),
    promptTokens: z.number().int().positive(),
    outputTokens: z.number().int().positive(),
    promptTokenIds: z
      .array(tokenId)
      .optional()
      .describe('token ids of the prompt; without content a request never hits a prefix cache'),
    outputTokenIds: z.array(tokenId).optional(),
    prefix: z
      .strictObject({
        of: id.describe('id of an earlier request'),
        tokens: z.number().int().positive().describe('leading tokens shared with its sequence'),
      })
      .optional()
      .describe(
        'content as a prefix tree: the first tokens equal those of prompt + output of `of`',
      ),
    session: z.string().optional(),
    after: z.array(id).optional().describe('ids of earlier requests that must finish first'),
    thinkNs: count.optional().describe('delay after the last of `after` finished'),
    model: z.string().optional(),
    sloClass: z.string().optional(),
    priority: z.number().int().optional(),
  })
  .describe('Request: one call to the service');

export type Request = z.infer<typeof requestSchema>;
export type RequestId = Request['id'];
