/** Goal: a guard holds exactly while something is guarded, and what fails keeps nothing else from its turn. */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { guard } from './guard.js';
import { makeTemporaryFolder } from './stage.js';

const numListeners = (): number[] =>
  ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'].map((name) => process.listenerCount(name));

test('signals are caught from the first guard to the last', () => {
  const before = numListeners();
  const more = before.map((count) => count + 1);
  // A run of one process an iteration has times without a process, never one without a folder.
  const folder = makeTemporaryFolder();
  expect(numListeners()).toEqual(more);
  const release = guard(() => {});
  folder.remove();
  expect(numListeners()).toEqual(more);
  release();
  release();
  expect(numListeners()).toEqual(before);
});

test('all is undone', () => {
  const known = process.listeners('exit');
  const folder = makeTemporaryFolder();
  const releases = [
    guard(() => {
      throw new Error('of no consequence');
    }),
  ];
  const reasons: string[] = [];
  releases.push(guard((why) => reasons.push(why)));
  const [onExit] = process.listeners('exit').filter((listener) => !known.includes(listener));
  const write = process.stderr.write;
  const said: string[] = [];
  process.stderr.write = (text: string | Uint8Array) => said.push(String(text)) > 0;
  try {
    onExit(0);
  } finally {
    process.stderr.write = write;
  }
  expect(said).toEqual(['serving-loop: Error: of no consequence\n']);
  expect(reasons).toEqual(['broke off']);
  expect(existsSync(folder.path)).toBe(false);
  for (const release of releases) release();
  folder.remove();
});
