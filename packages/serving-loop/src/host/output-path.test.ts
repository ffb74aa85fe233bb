/** From engine to client, by hand. */
import { outputPathSchema } from '@astrolabe/config';
import { expect, it } from 'vitest';
import { OutputQueue } from './output-path.js';

it('tokens wait for those that are being detokenised, delays go on side by side', () => {
  const terms = outputPathSchema.parse({ delay_ns: 1000, detokenise_per_token_ns: 10 });
  const queue = new OutputQueue(terms);
  expect(queue.seenAt(0, 50)).toBe(500 + 1000);
  expect(queue.seenAt(100, 5)).toBe(550 + 1000);
  expect(queue.seenAt(600, 1)).toBe(610 + 1000);
});

it('without terms they are seen when they are known', () => {
  expect(new OutputQueue(undefined).seenAt(123, 9)).toBe(123);
});
