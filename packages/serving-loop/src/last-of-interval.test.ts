/** Recording at the last batch end of an interval gives what recording at every one gives. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LastOfInterval } from './last-of-interval.js';

const intervalNs = 10;

/** State by interval: what was recorded last in it. */
class Records {
  readonly states = new Map<number, number>();

  add(endNs: number, state: number): void {
    this.states.set(Math.floor(endNs / intervalNs), state);
  }
}

describe('LastOfInterval', () => {
  it('leaves the same states as a record of every batch end', () => {
    const event = fc.record({ gapNs: fc.nat(12), isBatchEnd: fc.boolean() });
    const property = fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const every = new Records();
      const lazy = new Records();
      let state = 0;
      const last = new LastOfInterval(intervalNs, (endNs) => lazy.add(endNs, state));
      let nowNs = 0;
      for (const { gapNs, isBatchEnd } of events) {
        nowNs += gapNs;
        last.before(isBatchEnd ? nowNs : undefined);
        state++;
        if (!isBatchEnd) continue;
        every.add(nowNs, state);
        last.ended(nowNs);
      }
      last.before(undefined);
      expect([...lazy.states]).toEqual([...every.states]);
    });
    fc.assert(property);
  });

  it('records once where only batches end', () => {
    let records = 0;
    const last = new LastOfInterval(intervalNs, () => records++);
    for (const endNs of [1, 4, 9, 12]) {
      last.before(endNs);
      last.ended(endNs);
    }
    expect(records).toBe(1);
  });
});
