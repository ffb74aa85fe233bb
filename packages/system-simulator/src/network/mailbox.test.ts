/** The n-th message of a key meets the n-th receive of it: against plain lists. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Mailbox } from './mailbox.js';

const operation = fc.record({
  send: fc.boolean(),
  tag: fc.integer({ min: 0, max: 2 }),
  src: fc.integer({ min: 0, max: 2 }),
  size: fc.constantFrom(1, 2 ** 33, 2 ** 33 + 1),
});

test('matching is first come, first served per (tag, source, destination, size)', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const mailbox = new Mailbox();
      const waiting = new Map<string, number[]>();
      const arrived = new Map<string, number>();
      operations.forEach(({ send, tag, src, size }, i) => {
        const key = `${tag}/${src}/${size}`;
        const queue = waiting.get(key) ?? [];
        waiting.set(key, queue);
        const there = arrived.get(key) ?? 0;
        if (send) {
          const first = queue.shift();
          expect(mailbox.arrive(tag, src, 9, size)).toBe(first !== undefined);
          if (first === undefined) arrived.set(key, there + 1);
          else expect(mailbox.arg).toBe(first);
        } else {
          expect(mailbox.receive(tag, src, 9, size, 1, i)).toBe(there > 0);
          if (there > 0) arrived.set(key, there - 1);
          else queue.push(i);
        }
      });
      const left = [...waiting.values()].flat().sort((a, b) => a - b);
      expect(
        mailbox
          .waiting()
          .map(({ arg }) => arg)
          .sort((a, b) => a - b),
      ).toEqual(left);
      const unread = [...arrived.values()].reduce((sum, n) => sum + n, 0);
      expect(mailbox.unread().reduce((sum, { count }) => sum + count, 0)).toBe(unread);
    }),
    { seed: 2, numRuns: 200 },
  );
});

test('a message on its way belongs to the receive it will meet', () => {
  const mailbox = new Mailbox();
  mailbox.receive(1, 0, 1, 64, 1, 10);
  mailbox.receive(1, 0, 1, 64, 1, 11);
  expect(mailbox.announce(1, 0, 1, 64)).toBe(10);
  expect(mailbox.announce(1, 0, 1, 64)).toBe(11);
  expect(mailbox.announce(1, 0, 1, 64)).toBe(-1);
  mailbox.receive(1, 0, 1, 64, 1, 12);
  expect(mailbox.hasAnnounced(1, 0, 1, 64)).toBe(true);
  mailbox.receive(1, 0, 1, 64, 1, 13);
  expect(mailbox.hasAnnounced(1, 0, 1, 64)).toBe(false);
});

test('what is still on its way is remembered when nothing waits any more', () => {
  const mailbox = new Mailbox();
  mailbox.announce(1, 0, 1, 64);
  mailbox.announce(1, 0, 1, 64);
  mailbox.retract(1, 0, 1, 64);
  expect(mailbox.arrive(1, 0, 1, 64)).toBe(false);
  expect(mailbox.receive(1, 0, 1, 64, 1, 10)).toBe(true);
  expect(mailbox.receive(1, 0, 1, 64, 1, 11)).toBe(false);
  expect(mailbox.hasAnnounced(1, 0, 1, 64)).toBe(true);
});
