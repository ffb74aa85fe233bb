/** Runs are long enough for their attainment to mean something, and no longer than that. */
import { expect, test } from 'vitest';
import { fewestToJudge } from './fewest-requests.js';

/** Of five, three are chats, one is a batch and one has no class. */
function mixed(times: number): { sloClass?: string }[] {
  const five = [{ sloClass: 'chat' }, { sloClass: 'batch' }, { sloClass: 'chat' }, {}];
  return Array.from({ length: times }, () => [...five, { sloClass: 'chat' }]).flat();
}

test('so many that ten of the rarest class with targets may miss', () => {
  const requests = mixed(2000);
  expect(fewestToJudge(requests, ['*'], 0.99)).toBe(1000);
  expect(fewestToJudge(requests, ['chat'], 0.9)).toBe(167);
  expect(fewestToJudge(requests, ['chat', 'batch'], 0.9)).toBe(500);
  // Of the others, which have the targets of `*`, there are two in five.
  expect(fewestToJudge(requests, ['*', 'chat'], 0.9)).toBe(250);
});

test('no more than the workload has, or anybody would wait for; none without targets', () => {
  expect(fewestToJudge(mixed(20), ['*'], 0.99)).toBe(100);
  expect(fewestToJudge(mixed(20), ['*'], 1)).toBe(100);
  expect(fewestToJudge(mixed(4000), ['batch'], 0.9999)).toBe(10_000);
  expect(fewestToJudge(mixed(4000), [], 0.99)).toBe(0);
});
