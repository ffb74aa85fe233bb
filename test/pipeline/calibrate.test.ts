/**
 * Goal: `report calibrate` finds the constants that made a run. Method: our own simulation with known
 * constants, told as a client would measure it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

const cluster = join(root, 'cluster_config/rtxpro6000.json');

interface Row {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly arrivalNs: number;
  readonly ttftNs: number;
  readonly latencyNs: number;
}

/** As `vllm bench serve --save-detailed` would write it. */
function asBench(rows: readonly Row[]): string {
  return JSON.stringify({
    input_lens: rows.map(({ promptTokens }) => promptTokens),
    output_lens: rows.map(({ outputTokens }) => outputTokens),
    start_times: rows.map(({ arrivalNs }) => 1000 + arrivalNs / 1e9),
    ttfts: rows.map(({ ttftNs }) => ttftNs / 1e9),
    itls: rows.map(() => []),
    latencies: rows.map(({ latencyNs }) => latencyNs / 1e9),
  });
}

describe.skipIf(!isBuilt)('report calibrate (needs a build)', () => {
  test('recovers step overhead and front-end delay from a client\u2019s view', () =>
    inFolder(async (folder) => {
      const file = (name: string): string => join(folder, name);
      const made = { source: 'made', step_overhead_ns: 1_200_000, front_end_delay_ns: 5_000_000 };
      writeFileSync(file('made.json'), JSON.stringify({ devices: { RTXPRO6000: made } }));
      const requests = await run('workload', [
        'generate',
        '--requests',
        '60',
        '--rate',
        '2',
        '--shape',
        'single',
      ]);
      writeFileSync(file('requests.ndjson'), requests.stdout);
      const simulated = await run('serving-loop', [
        ...['--cluster-config', cluster, '--workload', file('requests.ndjson'), '--quiet'],
        ...['--calibration', file('made.json'), '--requests-output', file('rows.ndjson')],
      ]);
      expect(simulated.code, simulated.stderr).toBe(0);
      const lines = readFileSync(file('rows.ndjson'), 'utf8').trim().split('\n');
      writeFileSync(file('bench.json'), asBench(lines.map((line) => JSON.parse(line))));
      const { stdout, stderr } = await run('report', [
        ...['calibrate', '--cluster-config', cluster, '--name', 'our own run'],
        ...['--workload', file('bench.json'), '--real', file('bench.json')],
      ]);
      const found = JSON.parse(stdout.toString()).devices.RTXPRO6000;
      expect(found.source).toMatch(/fitted on our own run: 60 requests, \d+ of them unqueued/);
      expect(Math.abs(found.step_overhead_ns / made.step_overhead_ns - 1)).toBeLessThan(0.02);
      expect(Math.abs(found.front_end_delay_ns - made.front_end_delay_ns)).toBeLessThan(2e6);
      expect(found.decode_tail).toBe(false);
      expect(stderr).toMatch(/^report: TPOT of single requests within .*: it is off$/m);
    }));
});
