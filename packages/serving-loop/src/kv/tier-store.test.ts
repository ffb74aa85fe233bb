/** A tier's pool by hand: least recently used goes first, what a transfer holds stays. */
import { describe, expect, it } from 'vitest';
import { TierStore } from './tier-store.js';

function filled(capacity: number, keys: readonly number[]): TierStore {
  const store = new TierStore(capacity);
  for (const key of keys) {
    store.reserve(key, 1);
    store.commit(key);
  }
  return store;
}

describe('TierStore', () => {
  it('evicts what was read longest ago, not what was written longest ago', () => {
    const store = filled(2, [1, 2]);
    store.pin(1);
    store.unpin(1);
    expect(store.reserve(3, 1)).toBe(true);
    expect([store.has(1), store.has(2)]).toEqual([true, false]);
  });

  it('evicts the least recently used', () => {
    const store = filled(3, [1, 2, 3]);
    store.touch(1);
    expect(store.reserve(4, 1)).toBe(true);
    store.commit(4);
    expect([1, 2, 3, 4].map((key) => store.has(key))).toEqual([true, false, true, true]);
    expect(store.counters).toMatchObject({ stored: 4, evictions: 1 });
  });

  it('finds a chunk only when it has been written', () => {
    const store = new TierStore(2);
    expect(store.reserve(7, 1)).toBe(true);
    expect(store.has(7)).toBe(false);
    expect(store.reserve(7, 1)).toBe(false);
    store.commit(7);
    expect(store.has(7)).toBe(true);
    expect(store.usedBytes).toBe(1);
  });

  it('never evicts what is read or written', () => {
    const store = filled(2, [1, 2]);
    store.pin(1);
    store.pin(2);
    expect(store.reserve(3, 1)).toBe(false);
    expect(store.counters.refused).toBe(1);
    store.unpin(2);
    expect(store.reserve(3, 1)).toBe(true);
    expect([1, 2].map((key) => store.has(key))).toEqual([true, false]);
    expect(store.numHeld).toBe(2);
  });

  it('refuses what can never fit, and evicts nothing for it', () => {
    const store = filled(2, [1, 2]);
    expect(store.reserve(3, 3)).toBe(false);
    expect([1, 2].map((key) => store.has(key))).toEqual([true, true]);
  });
});
