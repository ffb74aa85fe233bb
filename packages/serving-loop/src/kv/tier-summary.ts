/** The KV pools below the device, for the summary. */
import type { TierSeries } from './tier-series.js';

export interface TierPoolSummary {
  readonly pool: string;
  readonly entries: number;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly hitTokens: number;
  readonly queryTokens: number;
  readonly evictions: number;
}

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
