/** What pools held by interval. */
import { expect, test } from 'vitest';
import type { InstanceEngine } from '../instance-engine.js';
import { KvCacheManager } from './kv-cache-manager.js';
import { TierSeries } from './tier-series.js';

test('intervals before the first record hold nothing', () => {
  const kv = new KvCacheManager({ numBlocks: 10, blockSize: 16, prefixCaching: true });
  const engine = { instance: { index: 0 }, index: 0, kv, budget: { blockBytes: 100 } };
  const series = new TierSeries(100, [engine as unknown as InstanceEngine], []);
  kv.queryTokens = 40;
  series.record(250);
  kv.queryTokens = 60;
  series.record(410);
  const seen = series.rows().map(({ startNs, queryTokens }) => [startNs, queryTokens]);
  expect(seen).toEqual([
    [0, 0],
    [100, 0],
    [200, 40],
    [300, 40],
    [400, 60],
  ]);
});
