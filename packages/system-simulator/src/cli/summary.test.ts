/**
 * Goal: the summary says where time went, and the counters under it are those of all links, however
 * the run was shortened. Method: text of figures by hand; the built command on a shipped all-reduce.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Counters } from '../counters.js';
import { summaryText } from './summary.js';

const shipped = fileURLToPath(new URL('../../../../cluster_config/astra/', import.meta.url));
const command = fileURLToPath(new URL('../../bin/system-simulator.js', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../dist/cli.js', import.meta.url)));

const npu = (npu: number, computeNs: number, exposedCommNs: number): Counters['npus'][number] => ({
  npu,
  computeNs,
  exposedCommNs,
  exposedMemoryNs: 0,
  sentBytes: 1_234_000 * npu,
});

test('NPUs, links by busy time, memory that was used, the largest share first', () => {
  const counters: Counters = {
    nowNs: 2000,
    npus: [npu(0, 500, 1500), npu(1, 500, 1100)],
    links: [
      { name: 'dim0: 0->1', bytes: 999, busyNs: 200, messages: 2 },
      { name: 'dim0: 1->0', bytes: 12_000, busyNs: 900, messages: 1 },
    ],
    memory: [
      { tier: 'remote', device: 0, channel: 1, bytes: 0, busyNs: 0, accesses: 0 },
      { tier: 'cxl', device: 3, bytes: 4096, busyNs: 2000, accesses: 7 },
    ],
  };
  expect(summaryText(counters)).toBe(`ended at 2000 ns
NPU  compute  exposed comm  exposed memory   idle    sent
0      25.0%         75.0%            0.0%   0.0%     0 B
1      25.0%         55.0%            0.0%  20.0%  1.2 MB
link         busy    bytes  messages
dim0: 1->0  45.0%  12.0 kB         1
dim0: 0->1  10.0%    999 B         2
memory    busy   bytes  accesses
cxl 3   100.0%  4.1 kB         7
mean of all NPUs: exposed communication 65.0%, compute 25.0%, idle 10.0%
`);
});

test('of many NPUs the busiest; without congestion there are no links; nothing has happened', () => {
  const many = Array.from({ length: 20 }, (_, i) => npu(i, i, 0));
  const lines = summaryText({ nowNs: 20, npus: many, links: [], memory: [] }).split('\n');
  expect(lines[2]).toMatch(/^19 +95\.0%/);
  expect(lines.slice(-5)).toEqual([
    expect.stringMatching(/^4 /),
    'and 4 NPUs less busy',
    'links: none modelled without congestion; --backend congestion-aware shows them',
    'mean of all NPUs: idle 52.5%, compute 47.5%',
    '',
  ]);
  const none = summaryText({ nowNs: 0, npus: [npu(0, 0, 0)], links: [], memory: [] });
  expect(none).toContain('mean of all NPUs: \n');
});

describe.skipIf(!isBuilt)('(needs npm run build)', () => {
  test('a run large enough for shortcuts counts every link', () => {
    const folder = mkdtempSync(join(tmpdir(), 'summary-'));
    const file = join(folder, 'counters.json');
    const child = spawnSync(process.execPath, [
      command,
      `--workload-configuration=${shipped}all_reduce_1MB`,
      `--system-configuration=${shipped}ring.json`,
      `--network-configuration=${shipped}Switch_64.yml`,
      `--remote-memory-configuration=${shipped}no_memory.json`,
      ...['--backend=congestion-aware', `--counters=${file}`, '--summary'],
    ]);
    const counters = JSON.parse(readFileSync(file, 'utf8'));
    rmSync(folder, { recursive: true });
    expect(counters.links).toHaveLength(128);
    // Four chunks of 256 KiB, a 64th of each in 2 * 63 steps.
    const bytes = 4 * 2 * 63 * 4096;
    expect(new Set(counters.links.map((link: { bytes: number }) => link.bytes))).toEqual(
      new Set([bytes]),
    );
    expect(child.stderr.toString()).toContain('and 112 links less busy');
  });
});
