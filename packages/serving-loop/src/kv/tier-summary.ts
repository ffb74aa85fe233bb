/** The KV pools below the device, for the summary. */
import { z } from 'zod';
import type { TierSeries } from './tier-series.js';

export const tierPoolSummarySchema = z.strictObject({
  pool: z.string(),
  entries: z.number(),
  usedBytes: z.number(),
  capacityBytes: z.number(),
  hitTokens: z.number(),
  queryTokens: z.number(),
  evictions: z.number(),
});
type TierPoolSummary = Readonly<z.infer<typeof tierPoolSummarySchema>>;

/** Every pool but the devices', at the end of the run; empty when there are none. */
export function summariseTiers(series: TierSeries): TierPoolSummary[] {
  return series
    .latest()
    .filter((row) => !row.pool.endsWith('/device'))
    .map(({ pool, entries, usedBytes, capacityBytes, hitTokens, queryTokens, evictions }) => ({
      pool,
      entries,
      usedBytes,
      capacityBytes,
      hitTokens,
      queryTokens,
      evictions,
    }));
}

export function formatTiers(pools: readonly TierPoolSummary[]): string[] {
  return pools.map(
    ({ pool, entries, usedBytes, capacityBytes, hitTokens, queryTokens, evictions }) =>
      `${pool.padEnd(13)} ${entries} chunks, ${(usedBytes / 2 ** 20).toFixed(0)} of ` +
      `${(capacityBytes / 2 ** 20).toFixed(0)} MiB, ${hitTokens} of ${queryTokens} tokens hit, ` +
      `${evictions} evicted`,
  );
}
