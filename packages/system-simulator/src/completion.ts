/** What the machine says about one finished iteration. One NDJSON line on a pipe. */
import { z } from 'zod';

const ns = z.number().int().nonnegative();

export const npuTimesSchema = z
  .strictObject({
    npu: z.number().int().nonnegative(),
    startNs: ns.describe('first node issued'),
    finishNs: ns.describe('last node done'),
    computeNs: ns.describe('union of compute intervals'),
    exposedCommNs: ns.describe('communication not covered by compute'),
    exposedMemoryNs: ns.describe('memory-tier access covered by neither compute nor communication'),
  })
  .describe('accounted time of one NPU; the rest of finish - start is waiting');

const count = z.number().int().nonnegative();

export const communicationsSchema = z
  .strictObject({
    measured: count.describe('timed by a table of measured links'),
    beyond: count.describe('of these, larger than any size of the table'),
    simulated: count.describe('timed by the network'),
  })
  .describe('collectives and messages by what timed them');

export const completionSchema = z
  .strictObject({
    instance: z.number().int().nonnegative(),
    iteration: z.number().int().nonnegative(),
    lane: z.number().int().nonnegative(),
    startNs: ns,
    finishNs: ns.describe('when the last of its NPUs finished'),
    npus: z.array(npuTimesSchema),
    commBytes: z.number().nonnegative().describe('bytes sent over links by all its NPUs'),
    memoryBytes: z.number().nonnegative().describe('bytes moved to and from memory tiers'),
    communications: communicationsSchema.optional().describe('only with measured links'),
  })
  .describe('Completion: one iteration has finished on every NPU');

/** Beside what an answer to a clock request says: whom it came through. */
export const answeredBySchema = z
  .strictObject({
    traceGenerator: z.string().optional(),
    systemSimulator: z.string().optional(),
  })
  .describe('names and versions of the programs behind an answer, of those that say so');

export type AnsweredBy = Readonly<z.infer<typeof answeredBySchema>>;
export type Completion = z.infer<typeof completionSchema>;
export type Communications = z.infer<typeof communicationsSchema>;
export type NpuTimes = z.infer<typeof npuTimesSchema>;
