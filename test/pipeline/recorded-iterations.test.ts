/**
 * Goal: the stages as separate processes say what they say in one. Method: recorded iterations piped
 * through `trace-generator` and `system-simulator` give the completions of the in-process run byte for
 * byte, and .et files written by the first decode to its graphs. Needs the packages built.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeGraph, encodeGraph, expandGraphSet } from '@astrolabe/chakra';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import {
  createTraceGenerator,
  type Iteration,
  type TraceGenerator,
} from '@astrolabe/trace-generator';
import { loadExpertRouters } from '@astrolabe/trace-generator/cli';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = existsSync(join(root, 'packages/system-simulator/dist/cli.js'));

function command(name: string, args: readonly string[], input: string | Uint8Array) {
  const bin = join(root, `packages/${name}/bin/${name}.js`);
  const run = spawnSync(process.execPath, [bin, ...args], { input, maxBuffer: 2 ** 28 });
  return { stdout: run.stdout, stderr: run.stderr.toString(), status: run.status };
}

/** Steps of every instance, one behind the other, two in flight. */
function recorded(instances: number, steps: number, wave: boolean): Iteration[] {
  const iterations: Iteration[] = [];
  for (let step = 0; step < steps; step++) {
    for (let instance = 0; instance < instances; instance++) {
      const added = (rank: number): number => (step % 4 === 0 ? 300 + 40 * step + rank : 1);
      const prefill = added(instance);
      const tokens = Array.from({ length: instances }, (_, rank) => 1 + added(rank));
      iterations.push({
        instance,
        iteration: step,
        releaseNs: Math.max(0, step - 1) * 9_000_000,
        requests: [2 * instance, 2 * instance + 1],
        newTokens: [1, prefill],
        contextTokens: [100 + step, prefill === 1 ? 300 + step : 0],
        ...(wave ? { wave: step, waveTokens: tokens } : {}),
      });
    }
  }
  return iterations;
}

async function generator(path: string): Promise<TraceGenerator> {
  const profiles = await openProfiles(join(root, 'profiles'));
  const cluster = loadCluster(path);
  return createTraceGenerator({
    cluster,
    expertRouterFor: await loadExpertRouters(cluster),
    calibration: loadCalibration(undefined),
    latencyModelFor: ({ hardware, model, engine }) =>
      profiles.latencyModel(hardware, model.name, engine.dtype),
  });
}

async function inProcess(path: string, iterations: readonly Iteration[]): Promise<string> {
  const { generate } = await generator(path);
  const machine = createMachine(clusterMachine(loadCluster(path)));
  for (const iteration of iterations) machine.submit(generate(iteration));
  const lines: string[] = [];
  for (;;) {
    const completion = machine.runUntil(Number.POSITIVE_INFINITY);
    if (completion === undefined) return lines.join('');
    lines.push(`${JSON.stringify(completion)}\n`);
  }
}

const cases = [
  { config: 'rtxpro6000', instances: 1 },
  { config: 'tp2-pp2', instances: 1 },
  { config: 'mixed-tp', instances: 2 },
  { config: 'two-instances', instances: 2 },
  { config: 'moe-dp2-ep2-zipf', instances: 2, wave: true },
  { config: 'moe-dp2-ep2-user-router', instances: 2, wave: true },
  // Experts move before step 16.
  { config: 'moe-dp4-ep4-eplb', instances: 4, wave: true, steps: 20 },
  { config: 'attention-ffn', instances: 1 },
  { config: 'weights-cxl', instances: 1 },
];

describe.skipIf(!built)('recorded iterations (needs npm run build)', () => {
  it.each(cases)(
    'give equal completions in one process and through pipes: $config',
    async (one) => {
      const path = join(root, `cluster_config/${one.config}.json`);
      const iterations = recorded(one.instances, one.steps ?? 12, one.wave ?? false);
      const input = iterations.map((iteration) => `${JSON.stringify(iteration)}\n`).join('');
      const graphs = command('trace-generator', ['--cluster-config', path], input);
      expect(graphs.stderr).toBe('');
      const machine = command('system-simulator', ['--cluster-config', path], graphs.stdout);
      expect(machine.stderr).toBe('');
      const text = machine.stdout.toString();
      expect(text.split('\n')).toHaveLength(iterations.length + 1);
      expect(text).toBe(await inProcess(path, iterations));
    },
  );

  it('are written as .et files that decode to the same graphs', async () => {
    const path = join(root, 'cluster_config/tp2.json');
    const folder = mkdtempSync(join(tmpdir(), 'astrolabe-'));
    try {
      const [iteration] = recorded(1, 1, false);
      const args = ['--cluster-config', path, '--output', join(folder, 'step')];
      const run = command('trace-generator', args, `${JSON.stringify(iteration)}\n`);
      expect(run.stderr).toBe('');
      const graphs = expandGraphSet((await generator(path)).generate(iteration));
      expect(graphs).toHaveLength(2);
      graphs.forEach((graph, npu) => {
        const bytes = readFileSync(join(folder, `step.0.0.${npu}.et`));
        const decoded = decodeGraph(bytes);
        expect(decoded.nodeCount).toBe(graph.nodeCount);
        expect(Buffer.from(encodeGraph(graph)).equals(bytes)).toBe(true);
        expect([...decoded.durationNs]).toEqual([...graph.durationNs]);
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ['{"instance":0', 'stdin:1: not a complete JSON object'],
    ['\n{"instance":9}', 'stdin:2: iteration: '],
    [
      '{"instance":9,"iteration":0,"releaseNs":0,"requests":[0],"newTokens":[1],"contextTokens":[1]}',
      'stdin:1: instance 9 is unknown: the cluster has 1',
    ],
  ])('stop at a bad line with its number: %s', (input, message) => {
    const path = join(root, 'cluster_config/rtxpro6000.json');
    const run = command('trace-generator', ['--cluster-config', path], input);
    expect(run.status).toBe(2);
    expect(run.stderr).toContain(message);
    expect(run.stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
    expect(run.stdout).toHaveLength(0);
  });
});
