/** The heap of runs against a sorted list, and the NPUs' own lists by hand. */
import { UserError } from '@astrolabe/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.js';
import { Kind } from './kinds.js';
import { NpuQueues } from './npu-queues.js';

test('events come by time, then in order of scheduling', () => {
  const operation = fc.record({
    pop: fc.boolean(),
    delay: fc.constantFrom(0, 0, 0, 1, 2, 5, 100),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400 }), (operations) => {
      const queue = new EventQueue();
      let naive: { time: number; arg: number }[] = [];
      let next = 0;
      for (const { pop, delay } of operations) {
        if (!pop) {
          const time = queue.time + delay;
          queue.schedule(time, 1, next);
          naive.push({ time, arg: next++ });
          continue;
        }
        naive = naive.toSorted((a, b) => a.time - b.time || a.arg - b.arg);
        const first = naive.shift();
        expect(queue.peekTime()).toBe(first?.time ?? Number.POSITIVE_INFINITY);
        expect(queue.pop()).toBe(first !== undefined);
        if (first !== undefined) expect([queue.time, queue.arg]).toEqual([first.time, first.arg]);
      }
      expect(queue.size).toBe(naive.length);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('a reserved place is where an event scheduled in its stead would be', () => {
  const operation = fc.record({
    what: fc.constantFrom('pop', 'pop', 'schedule', 'schedule', 'reserve', 'fill'),
    delay: fc.constantFrom(0, 0, 1, 2, 5),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const queue = new EventQueue();
      // In the order in which they took their places; `at` of those that are no events yet.
      let naive: { time: number; arg: number; at?: number }[] = [];
      let last = { time: 0, arg: -1 };
      let next = 0;
      const isPast = ({ time, arg }: { time: number; arg: number }): boolean =>
        time < last.time || (time === last.time && arg < last.arg);
      for (const { what, delay } of operations) {
        const time = queue.time + delay;
        const places = naive.filter(({ at }) => at !== undefined);
        if (what === 'schedule') {
          queue.schedule(time, 1, next);
          naive.push({ time, arg: next++ });
        } else if (what === 'reserve') {
          naive.push({ time, arg: next++, at: queue.reserve(time) });
        } else if (what === 'fill') {
          const open = places.find((one) => !isPast(one));
          if (open === undefined) continue;
          queue.scheduleAt(open.time, open.at as number, 1, open.arg);
          delete open.at;
        } else {
          const events = naive.filter(({ at }) => at === undefined);
          const [first] = events.sort((a, b) => a.time - b.time || a.arg - b.arg);
          expect(queue.pop()).toBe(first !== undefined);
          if (first === undefined) continue;
          expect([queue.time, queue.arg]).toEqual([first.time, first.arg]);
          last = first;
          naive = naive.filter((one) => one !== first);
        }
        for (const one of places) {
          if (one.at !== undefined) expect(queue.isPast(one.time, one.at)).toBe(isPast(one));
        }
      }
    }),
    { seed: 6, numRuns: 300 },
  );
});

test('when the clock is moved on, every place up to then is past', () => {
  const queue = new EventQueue();
  const place = queue.reserve(10);
  queue.advanceTo(9);
  expect(queue.isPast(10, place)).toBe(false);
  queue.advanceTo(10);
  expect(queue.isPast(10, place)).toBe(true);
});

test('an event in the past is refused', () => {
  const queue = new EventQueue();
  queue.schedule(10, 1, 0);
  queue.pop();
  expect(() => queue.schedule(9, 1, 0)).toThrow('event at 9 ns scheduled at 10 ns');
});

test('the clock ends where numbers no longer hold single nanoseconds', () => {
  const queue = new EventQueue();
  queue.schedule(Number.MAX_SAFE_INTEGER, 1, 0);
  expect(() => queue.schedule(2 ** 53, 1, 0)).toThrow(UserError);
});

test('callbacks of one NPU for one tick run together, at the place of the first', () => {
  const queue = new EventQueue();
  const npus = new NpuQueues(2, queue, Kind.npuList);
  npus.register(0, 5, 1, 100);
  npus.register(1, 5, 1, 200);
  // Joins NPU 0's list, so it runs before NPU 1's although it came later.
  npus.register(0, 5, 1, 101);
  const ran: number[] = [];
  const dispatch = (_kind: number, arg: number): void => {
    ran.push(arg);
    // Appended while the list runs: still the same pass.
    if (arg === 100) npus.register(0, 0, 1, 102);
  };
  while (queue.pop()) npus.fire(queue.arg, dispatch);
  expect(ran).toEqual([100, 101, 102, 200]);
  // The list is closed: the same tick makes a new one.
  npus.register(0, 0, 1, 103);
  expect(queue.size).toBe(1);
});
