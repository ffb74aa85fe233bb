/** Block pool: LRU order, content that outlives its user, counts that always add up. */
import { Random } from '@astrolabe/base';
import { describe, expect, it } from 'vitest';
import { BlockPool } from './block-pool.js';

describe('BlockPool', () => {
  it('hands out blocks in order of id and never the null block', () => {
    const pool = new BlockPool(4);
    expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual([1, 2, 3]);
    expect(pool.freeBlocks).toBe(0);
    expect(pool.usage).toBe(1);
  });

  it('reuses the least recently freed block first', () => {
    const pool = new BlockPool(4);
    for (let i = 0; i < 3; i++) pool.allocate();
    pool.release(2);
    pool.release(1);
    expect(pool.allocate()).toBe(2);
    expect(pool.allocate()).toBe(1);
  });

  it('finds freed content until the block is handed out again', () => {
    const pool = new BlockPool(3);
    const block = pool.allocate();
    pool.setContent(block, 7);
    pool.release(block);
    expect(pool.lookup(7)).toBe(block);
    pool.allocate();
    expect(pool.lookup(7)).toBe(block);
    pool.allocate();
    expect(pool.lookup(7)).toBe(-1);
    expect(pool.evictions).toBe(1);
  });

  it('finds the oldest of equal blocks, and the next when that is evicted', () => {
    const pool = new BlockPool(5);
    const [a, b, c] = [pool.allocate(), pool.allocate(), pool.allocate()];
    for (const block of [a, b, c]) pool.setContent(block, 7);
    const evict = (block: number): void => {
      pool.release(block);
      while (pool.allocate() !== block);
    };
    expect(pool.lookup(7)).toBe(a);
    evict(b);
    expect(pool.lookup(7)).toBe(a);
    evict(a);
    expect(pool.lookup(7)).toBe(c);
    pool.setContent(a, 7);
    expect(pool.lookup(7)).toBe(c);
    evict(c);
    expect(pool.lookup(7)).toBe(a);
    evict(a);
    expect(pool.lookup(7)).toBe(-1);
  });

  it('finds a block of a content exactly as long as one holds it, the oldest', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed, 'equal blocks');
      const pool = new BlockPool(2 + random.below(12));
      /** Blocks by content, in order of becoming findable. */
      const model = new Map<number, number[]>([0, 1, 2].map((content) => [content, []]));
      const held: number[] = [];
      for (let step = 0; step < 300; step++) {
        if (random.below(2) === 0 && pool.freeBlocks > 0) {
          const block = pool.allocate();
          for (const list of model.values()) {
            if (list.includes(block)) list.splice(list.indexOf(block), 1);
          }
          const content = random.below(3);
          pool.setContent(block, content);
          model.get(content)?.push(block);
          held.push(block);
        } else if (held.length > 0) {
          pool.release(held.splice(random.below(held.length), 1)[0]);
        }
        for (const [content, list] of model) expect(pool.lookup(content)).toBe(list[0] ?? -1);
      }
    }
  });

  it('conserves blocks over random histories', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed, 'pool');
      const pool = new BlockPool(2 + random.below(30));
      const held: number[] = [];
      for (let step = 0; step < 500; step++) {
        if (random.below(2) === 0 && pool.freeBlocks > 0) {
          const block = pool.allocate();
          pool.setContent(block, random.below(40));
          held.push(block);
        } else if (random.below(3) === 0) {
          const found = pool.lookup(random.below(40));
          if (found >= 0) {
            pool.touch(found);
            held.push(found);
          }
        } else if (held.length > 0) {
          pool.release(held.splice(random.below(held.length), 1)[0]);
        }
        expect(pool.usedBlocks).toBe(new Set(held).size);
        expect(pool.usedBlocks + pool.freeBlocks).toBe(pool.numBlocks - 1);
      }
    }
  });
});
