/**
 * Goal: `report calibrate` finds the constants that made a run. Method: our own simulation with known
 * constants, told as a client would measure it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

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

/** A run with known constants, told by its client, calibrated with more flags. */
async function recovered(folder: string, cluster: string, made: object, ...flags: string[]) {
  const file = (name: string): string => join(folder, name);
  writeFileSync(file('made.json'), JSON.stringify({ devices: { RTXPRO6000: made } }));
  const shape = ['--shape', 'single', '--requests', '60', '--rate', '2'];
  const requests = await run('workload', ['generate', ...shape]);
  writeFileSync(file('requests.ndjson'), requests.stdout);
  const simulated = await run('serving-loop', [
    ...['--cluster-config', cluster, '--workload', file('requests.ndjson'), '--quiet'],
    ...['--calibration', file('made.json'), '--requests-output', file('rows.ndjson')],
  ]);
  expect(simulated.code, simulated.stderr).toBe(0);
  const lines = readFileSync(file('rows.ndjson'), 'utf8').trim().split('\n');
  writeFileSync(file('bench.json'), asBench(lines.map((line) => JSON.parse(line))));
  const { code, stdout, stderr } = await run('report', [
    ...['calibrate', '--cluster-config', cluster, '--name', 'our own run', ...flags],
    ...['--workload', file('bench.json'), '--real', file('bench.json')],
  ]);
  expect(code, stderr).toBe(0);
  return { found: JSON.parse(stdout.toString()).devices.RTXPRO6000, stderr };
}

describe.skipIf(!isBuilt)('report calibrate (needs a build)', () => {
  const made = { source: 'made', step_overhead_ns: 1_200_000, front_end_delay_ns: 5_000_000 };

  test("recovers step overhead and front-end delay from a client's view", () =>
    inFolder(async (folder) => {
      const one = join(root, 'cluster_config/rtxpro6000.json');
      const { found, stderr } = await recovered(folder, one, made);
      expect(found.source).toMatch(/fitted on our own run: 60 requests, \d+ of them unqueued/);
      expect(Math.abs(found.step_overhead_ns / made.step_overhead_ns - 1)).toBeLessThan(0.02);
      expect(Math.abs(found.front_end_delay_ns - made.front_end_delay_ns)).toBeLessThan(2e6);
      expect(found).toMatchObject({ decode_tail: false, tp_sizes: [1] });
      expect(found.link).toBeUndefined();
      expect(stderr).toMatch(/^report: TPOT of single requests within .*: it is off$/m);
      expect(stderr).toMatch(/^report: a step takes .* us more per request in it/m);
    }));

  test('recovers what every request adds to a step, and leaves it out where nothing shows it', () =>
    inFolder(async (folder) => {
      const one = join(root, 'cluster_config/rtxpro6000.json');
      const perRequest = { ...made, step_overhead_per_sequence_ns: 60_000 };
      const { found, stderr } = await recovered(folder, one, perRequest);
      expect(stderr).toMatch(/more per request in it \(90 %: .*\): kept$/m);
      const { step_overhead_per_sequence_ns: perSequenceNs } = found;
      expect(Math.abs(perSequenceNs / 60_000 - 1)).toBeLessThan(0.15);
      const [low, high] = found.step_overhead_per_sequence_interval_ns;
      expect(low).toBeLessThan(perSequenceNs);
      expect(high).toBeGreaterThan(perSequenceNs);
      expect(Math.abs(found.step_overhead_ns / made.step_overhead_ns - 1)).toBeLessThan(0.1);
      const none = { ...made, step_overhead_ns: 0 };
      const { found: without } = await recovered(folder, one, none);
      expect(without.step_overhead_per_sequence_ns ?? 0).toBeLessThan(5_000);
    }));

  test('refuses a switch of what it finds out', async () => {
    const files = ['--cluster-config', 'a', '--workload', 'b', '--real', 'c'];
    for (const flags of [
      ['--without', 'stepOverhead'],
      ['--with', 'decodeTail'],
    ]) {
      const { code, stderr } = await run('report', ['calibrate', ...files, ...flags]);
      expect(code).toBe(2);
      expect(stderr).toBe(`report: ${flags[0]}: ${flags[1]} is what this command finds out\n`);
    }
  });

  test('recovers the link of a tensor-parallel group, too', () =>
    inFolder(async (folder) => {
      const shipped = readFileSync(join(root, 'cluster_config/tp2.json'), 'utf8');
      const cluster = join(folder, 'cluster.json');
      writeFileSync(cluster, JSON.stringify({ ...JSON.parse(shipped), link_latency: 0 }));
      const link = { nominal_gb_s: 16, bandwidth_gb_s: 6, latency_ns: 2000 };
      const { found } = await recovered(folder, cluster, { ...made, link }, '--fit-link');
      expect(found.link).toMatchObject({ nominal_gb_s: 16, latency_ns: 2000 });
      expect(Math.abs(found.link.bandwidth_gb_s / link.bandwidth_gb_s - 1)).toBeLessThan(0.05);
      expect(Math.abs(found.step_overhead_ns / made.step_overhead_ns - 1)).toBeLessThan(0.1);
      const given = join(root, 'cluster_config/tp2.json');
      const flags = ['calibrate', '--cluster-config', given, '--workload', 'w', '--real', 'r'];
      const refused = await run('report', [...flags, '--fit-link']);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toMatch(/tp2\.json: has no link to fit: expected tensor parallelism/);
    }));
});
