/** A request of the workload. One NDJSON line. */
import { z } from 'zod';

const count = z.number().int().nonnegative();

export const requestSchema = z
  .strictObject({
    id: z.union([z.string(), count]).describe('unique within the workload'),
    arrivalNs: count.describe('arrival, ns from the start of the run'),
    promptTokens: z.number().int().positive(),
    outputTokens: z.number().int().positive(),
    promptTokenIds: z
      .array(z.number().int())
      .optional()
      .describe('token ids of the prompt; without content a request never hits a prefix cache'),
    outputTokenIds: z.array(z.number().int()).optional(),
    prefix: z
      .strictObject({
        of: z.union([z.string(), count]).describe('id of an earlier request'),
        tokens: z.number().int().positive().describe('leading tokens shared with its sequence'),
      })
      .optional()
      .describe('content as a prefix tree: the first tokens equal those of prompt + output of `of`'),
    session: z.string().optional(),
    after: z
      .array(z.union([z.string(), count]))
      .optional()
      .describe('ids of requests that must finish first'),
    thinkNs: count.optional().describe('delay after the last of `after` finished'),
    model: z.string().optional(),
    sloClass: z.string().optional(),
    priority: z.number().int().optional(),
  })
  .describe('Request: one call to the service');

export type Request = z.infer<typeof requestSchema>;
