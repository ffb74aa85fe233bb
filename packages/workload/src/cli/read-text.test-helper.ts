/** Workloads of a few lines through `readWorkload`, as tests of the formats read them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Request } from '../request.js';
import { type ReadWorkloadOptions, readWorkload } from './read-workload.js';

/** In errors the file is called `x`. */
export async function readText(
  text: string,
  options: ReadWorkloadOptions = {},
): Promise<Request[]> {
  const dir = mkdtempSync(join(tmpdir(), 'read-text-'));
  try {
    const path = join(dir, 'x');
    writeFileSync(path, text);
    return await readWorkload(path, options);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export const lines = (...rows: object[]): string =>
  rows.map((row) => JSON.stringify(row)).join('\n');

/** id, arrivalNs, promptTokens, outputTokens */
export const plain = (requests: readonly Request[]): unknown[] =>
  requests.map((r) => [r.id, r.arrivalNs, r.promptTokens, r.outputTokens]);

/** Arrivals for formats that have none: every 1000 ns. */
export const clock = (): (() => number) => {
  let next = 0;
  return () => 1000 * next++;
};
