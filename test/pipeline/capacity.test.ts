/** Goal: the rate found is borne and the next is not, also when each is simulated by itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inFolder, isBuilt, root, run } from './commands.js';

const cluster = join(root, 'cluster_config/rtxpro6000.json');
const workload = join(root, 'cluster_config/workloads/sharegpt-like-300.ndjson');
const targets = ['--slo', 'ttft=1s,tpot=30ms'];

/** The first requests of the workload for 20 s at a rate, but all where that is fewer. */
function dense(ratePerS: number): string {
  const lines = readFileSync(workload, 'utf8').trim().split('\n');
  const requests = lines.map((line) => JSON.parse(line));
  const firstNs = requests[0].arrivalNs;
  const gapNs = (requests[requests.length - 1].arrivalNs - firstNs) / (requests.length - 1);
  const scale = 1e9 / ratePerS / gapNs;
  return requests
    .slice(0, Math.max(requests.length, Math.round(20 * ratePerS)))
    .map((one) => ({ ...one, arrivalNs: Math.round((one.arrivalNs - firstNs) * scale) }))
    .map((one) => JSON.stringify(one))
    .join('\n');
}

describe.skipIf(!isBuilt)('report capacity (needs a build)', () => {
  test('finds a rate that serving-loop bears, and one beside it that it does not', async () => {
    const search = ['--seconds', '20', '--precision', '0.2', '--format', 'ndjson', ...targets];
    const flags = ['capacity', cluster, '--workload', workload, ...search];
    const { code, stdout, stderr } = await run('report', flags);
    expect(code, stderr).toBe(0);
    const { best, beyond, probes, ...about } = JSON.parse(stdout.toString());
    expect(about).toEqual({ cluster, devices: 1 });
    expect(beyond.ratePerS / best.ratePerS).toBeLessThanOrEqual(1.21);
    expect(stderr.trim().split('\n')).toHaveLength(probes.length);
    await inFolder(async (folder) => {
      for (const { ratePerS, attainment, met } of [best, beyond]) {
        const path = join(folder, 'dense.ndjson');
        writeFileSync(path, dense(ratePerS));
        const alone = ['--cluster-config', cluster, '--workload', path, ...targets];
        const outcome = await run('serving-loop', [...alone, '--summary-format', 'json']);
        const summary = JSON.parse(outcome.stdout.toString());
        expect(summary.slo[0].attainment).toBe(attainment);
        expect(attainment >= 0.99 && !summary.trust.overloaded).toBe(met);
      }
    });
  });

  test('says no where even the lowest rate is too high, and what flags must be', async () => {
    const flags = ['capacity', cluster, '--workload', workload, '--seconds', '5', '--quiet'];
    const none = await run('report', [...flags, '--rates', '2:4', '--slo', 'ttft=1ms']);
    expect(none.code).toBe(1);
    expect(none.stdout.toString()).toMatch(
      /rtxpro6000\.json +- .*ttft 0\.0 % at 2 \(limited by memory bandwidth\)$/m,
    );
    expect(none.stderr).toMatch(/^report: no rate was borne by .*rtxpro6000\.json$/m);
    const wrong = await run('report', [...flags, '--rates', '4:2']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/expected LOW:HIGH in requests\/s, as in 1:64/);
    expect(wrong.stdout).toHaveLength(0);
    const unknown = await run('report', [...flags, '--slo', 'ttft=1s', '--slo', 'chat:ttft=1s']);
    expect(unknown).toMatchObject({
      code: 2,
      stderr: 'report: --slo: no request is of class chat\n',
    });
    const many = await run('report', [...flags, '--rates', '1e12:1e12']);
    expect(many.code).toBe(2);
    expect(many.stderr).toMatch(
      /^report: sharegpt-like-300\.ndjson: .* requests, expected at most/,
    );
    const late = await run('report', [...flags, '--rates', '1:1', 'missing.json']);
    expect(late.code).toBe(2);
    expect(late.stderr).toMatch(/^report: missing\.json: /);
  });

  test('a request that could never be served is told of before anything runs, or left out', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'long.ndjson');
      const lines = Array.from({ length: 30 }, (_, id) =>
        JSON.stringify({
          id,
          arrivalNs: id * 1e8,
          promptTokens: id === 20 ? 5000 : 50,
          outputTokens: 5,
          ...(id === 21 ? { prefix: { of: 20, tokens: 50 } } : {}),
        }),
      );
      writeFileSync(path, lines.join('\n'));
      const flags = ['capacity', cluster, '--workload', path, '--max-model-len', '4096'];
      const search = ['--seconds', '5', '--rates', '1:2', '--precision', '1'];
      const refused = await run('report', [...flags, ...search]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toMatch(/^report: .*rtxpro6000\.json: request 20: prompt 5000 \+ /);
      expect(refused.stderr).not.toContain('requests/s');
      const { code, stderr } = await run('report', [
        ...flags,
        ...search,
        ...['--unservable', 'reject'],
      ]);
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(
        /note: .*json: 1 of 30 requests could never be served and are left out/,
      );
      expect(stderr).toMatch(/ 2 requests\/s, 10 requests: borne/);
    });
  });

  test('a cluster that its profile does not cover is told of before the first search', async () => {
    await inFolder(async (folder) => {
      const wide = JSON.parse(readFileSync(cluster, 'utf8'));
      wide.nodes[0].instances[0].tp_size = 4;
      const path = join(folder, 'wide.json');
      writeFileSync(path, JSON.stringify(wide));
      const flags = ['capacity', cluster, path, '--workload', workload, '--rates', '1:1'];
      const { code, stderr } = await run('report', flags);
      expect(code).toBe(2);
      expect(stderr).toMatch(/^report: .*wide\.json: .*no measurements at TP 4\n/);
    });
  });

  test('asks enough requests for attainment to mean something, however low the rate', async () => {
    const few = ['--seconds', '1', '--rates', '4:4', '--attainment', '0.95', '--format', 'ndjson'];
    const flags = ['capacity', cluster, '--workload', workload, ...few, ...targets];
    const { stdout } = await run('report', flags);
    expect(JSON.parse(stdout.toString()).probes[0].requests).toBe(200);
  });

  test('simulates as many requests as the overload test needs', async () => {
    const short = ['--seconds', '0.01', '--rates', '0.5:64', '--precision', '1000'];
    const flags = ['capacity', cluster, '--workload', workload, ...short, '--format', 'ndjson'];
    const { stdout } = await run('report', flags);
    const { probes } = JSON.parse(stdout.toString());
    expect(probes.map(({ requests }: { requests: number }) => requests)).toEqual([8, 8]);
  });
});
