/** What the machine has moved and how long it was busy, for meters and reports. Times ns. */
import { z } from 'zod';

const amount = z.number().nonnegative();
const index = z.number().int().nonnegative();

const countersSchema = z
  .strictObject({
    nowNs: amount,
    npus: z.array(
      z.strictObject({
        npu: index,
        computeNs: amount,
        exposedCommNs: amount,
        exposedMemoryNs: amount,
        sentBytes: amount,
      }),
    ),
    links: z
      .array(
        z.strictObject({
          name: z.string(),
          bytes: amount,
          busyNs: amount.describe('time it carried something'),
          messages: amount,
        }),
      )
      .describe('filled by the congestion-aware network'),
    memory: z.array(
      z.strictObject({
        tier: z.enum(['local', 'remote', 'cxl', 'storage']),
        device: index,
        channel: index.optional().describe('PIM channel'),
        bytes: amount,
        busyNs: amount,
        accesses: index,
      }),
    ),
  })
  .describe('Counters of the machine since its start');

export type Counters = z.infer<typeof countersSchema>;
export type LinkCounters = Counters['links'][number];
