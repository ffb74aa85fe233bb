/** Goal: the same pieces are one object, different ones never, whatever slot they fall into. */
import { Random } from '@astrolabe/base';
import { expect, test } from 'vitest';
import { KeptPieces } from './kept-pieces.js';

test('20,000 pieces of few and many bytes', () => {
  let made = 0;
  const pieces = new KeptPieces((bytes) => {
    made++;
    return { bytes };
  });
  const random = new Random(7, 'pieces');
  const input = Uint8Array.from({ length: 2000 }, () => random.below(3));
  for (let k = 0; k < 20_000; k++) {
    const start = random.below(1000);
    const end = start + (random.below(10) === 0 ? random.below(900) : random.below(8));
    const { bytes } = pieces.get(input, start, end);
    expect(Buffer.from(bytes).equals(Buffer.from(input.subarray(start, end)))).toBe(true);
  }
  // Of up to 7 bytes of three values there are 3,280, and they share slots.
  expect(made).toBeLessThan(10_000);
});

test('a piece survives its input, and is made once', () => {
  const pieces = new KeptPieces((bytes) => bytes);
  const input = Uint8Array.from([1, 2, 3, 1, 2, 3]);
  const first = pieces.get(input, 0, 3);
  expect(pieces.get(input, 3, 6)).toBe(first);
  input.fill(0);
  expect([...first]).toEqual([1, 2, 3]);
  expect(() =>
    new KeptPieces(() => {
      throw new Error('no');
    }).get(input, 0, 2),
  ).toThrow('no');
});
