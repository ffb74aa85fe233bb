/** A test that prints to the console fails: tests check, they do not show. */
import { afterEach, beforeEach, expect, vi } from 'vitest';

const methods = ['log', 'info', 'warn', 'error', 'debug'] as const;

beforeEach(() => {
  for (const method of methods) vi.spyOn(console, method);
});

afterEach(() => {
  for (const method of methods) {
    const spy = vi.mocked(console[method]);
    const calls = spy.mock.calls.map((call) => call.join(' '));
    spy.mockRestore();
    expect(calls, `console.${method} was called`).toEqual([]);
  }
});
