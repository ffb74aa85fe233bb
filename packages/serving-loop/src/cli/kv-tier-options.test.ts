/** Tiers by flag: ours in full, LLMServingSim's for one tier, and what is refused. */
import { describe, expect, it } from 'vitest';
import { kvTierOptions, parseKvTier } from './kv-tier-options.js';

describe('KV tier flags', () => {
  it('reads a tier with its options', () => {
    expect(parseKvTier('host')).toEqual({
      tier: 'host',
      shared: false,
      chunk_tokens: 256,
      load: 'async',
      save: 'all',
    });
    const text = 'cxl, shared, chunk_tokens=64, load=blocking, save=prompt, capacity=1.5';
    expect(parseKvTier(text)).toEqual({
      tier: 'cxl',
      shared: true,
      chunk_tokens: 64,
      load: 'blocking',
      save: 'prompt',
      capacity: 1.5,
    });
  });

  it('refuses what is no tier or no option', () => {
    expect(() => parseKvTier('disk')).toThrow('--kv-tier');
    expect(() => parseKvTier('host,size=4')).toThrow('--kv-tier');
    expect(() => parseKvTier('host,load=lazy')).toThrow('--kv-tier');
  });

  it("takes LLMServingSim's flags for one tier", () => {
    const tiers = kvTierOptions({ prefixStorage: 'cpu', enablePrefixSharing: true }).kvTiers;
    expect(tiers).toMatchObject([{ tier: 'host', shared: true, chunk_tokens: 256 }]);
    expect(kvTierOptions({ prefixStorage: 'none' }).kvTiers).toBeUndefined();
    const both = { prefixStorage: 'cxl', kvTier: [parseKvTier('host')] };
    expect(() => kvTierOptions(both)).toThrow('--prefix-storage: names a tier');
  });
});
