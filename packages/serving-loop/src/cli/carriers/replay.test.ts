/** Goal: a folder that is no kept run is told by whoever asks it, and nothing else happens. */
import { expect, test } from 'vitest';
import { ReplayBackend } from './replay.js';

test('a folder that is not there is an error of the first answer', async () => {
  const backend = new ReplayBackend('/nowhere');
  backend.submit({
    instance: 0,
    iteration: 0,
    releaseNs: 0,
    requests: [0],
    newTokens: [1],
    contextTokens: [0],
  });
  await expect(backend.next(1)).rejects.toThrow('/nowhere/trace-generator.in.ndjson: no such file');
  // An unhandled error of the other file would fail this test's process.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await backend.close();
});
