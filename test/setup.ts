/** A test that prints to the console fails: tests check, they do not show. */
import { afterEach, beforeEach, expect, type MockInstance, vi } from 'vitest';

const methods = ['log', 'info', 'warn', 'error', 'debug'] as const;
let spies: MockInstance[] = [];

beforeEach(() => {
  spies = methods.map((method) => vi.spyOn(globalThis.console, method));
});

afterEach(() => {
  const calls = spies.flatMap((spy) => spy.mock.calls.map((call) => call.join(' ')));
  for (const spy of spies) spy.mockRestore();
  expect(calls, 'the console was used').toEqual([]);
});
