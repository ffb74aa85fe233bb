/**
 * LLMServingSim's own example runs beside ours, from the same profiles, cluster files and requests:
 * the table of docs/orientation.md, held here to a point. Its figures are a simulator's, no truth; the
 * page names the reason of every difference over 5 %.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultKvTransfer } from '@astrolabe/config';
import { loadCluster } from '@astrolabe/config/cli';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { requestResults } from '@astrolabe/serving-loop';
import { readWorkload } from '@astrolabe/workload/cli';
import { describe, expect, it } from 'vitest';
import { InProcess, runOn } from '../support/in-process.js';

const root = fileURLToPath(new URL('../../../shared/refdata/', import.meta.url));
const v1 = `${root}llmservingsim/v1`;

/** TTFT, TPOT, latency (means) and makespan. */
type Figures = readonly [ttft: number, tpot: number, latency: number, makespan: number];

/** Ours over theirs, in percent. */
const expected: Record<string, Figures> = {
  ex_single: [-4.1, 0.1, -0.1, 0],
  ex_multi: [-2.1, -0.8, -0.6, -0.4],
  ex_dp: [0.7, 0.6, 0.7, 0.1],
  ex_pp: [31.2, -11.2, -8.9, -5.6],
  ex_tp_pp: [28.7, -0.1, 0.3, -0.3],
  ex_moe: [-5.4, -1.2, -1.1, -0.3],
  ex_pd: [-1.1, 7.2, 3.5, 1.4],
  ex_cxl: [109.5, 90.6, 91.1, 88.9],
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function figuresOf(
  rows: readonly { arrival: number; ttft: number; tpot: number; latency: number }[],
): Figures {
  const ends = rows.map(({ arrival, latency }) => arrival + latency);
  const first = Math.min(...rows.map(({ arrival }) => arrival));
  return [
    mean(rows.map(({ ttft }) => ttft)),
    mean(rows.map(({ tpot }) => tpot)),
    mean(rows.map(({ latency }) => latency)),
    Math.max(...ends) - first,
  ];
}

function theirs(name: string): Figures {
  const [header, ...lines] = readFileSync(`${root}llmservingsim_runs/${name}/sim.csv`, 'utf8')
    .trimEnd()
    .split('\n');
  const columns = header.split(',');
  const column = (line: string, title: string): number =>
    Number(line.split(',')[columns.indexOf(title)]);
  return figuresOf(
    lines.map((line) => ({
      arrival: column(line, 'arrival'),
      ttft: column(line, 'TTFT'),
      tpot: column(line, 'TPOT'),
      latency: column(line, 'latency'),
    })),
  );
}

/** @param layersAhead how far weights off the device are fetched ahead; undefined: as the file says */
async function ours(name: string, layersAhead?: number): Promise<Figures> {
  const profiles = await openProfiles(`${v1}/profiles`);
  const requests = await readWorkload(`${v1}/workloads/compact/example_trace.csv`);
  const loaded = loadCluster(`${root}llmservingsim_runs/${name}/config.json`, {
    flags: { async_scheduling: false },
  });
  const ahead = layersAhead === undefined ? {} : { weightPrefetchLayers: layersAhead };
  const cluster = {
    ...loaded,
    instances: loaded.instances.map((instance) => ({ ...instance, ...ahead })),
    kvTransfer: { ...defaultKvTransfer, first_token: 'prefill' as const },
  };
  const backend = new InProcess(cluster, ({ hardware, model, engine }) =>
    profiles.latencyModel(hardware, model.name, engine.dtype),
  );
  const inputs = {
    cluster,
    requests: requests.slice(0, 10),
    routing: 'least-loaded',
    seed: 0,
  } as const;
  const run = await runOn(backend, inputs);
  return figuresOf(
    requestResults(run).map(({ arrivalNs, ttftNs, tpotNs, latencyNs }) => ({
      arrival: arrivalNs,
      ttft: ttftNs ?? Number.NaN,
      tpot: tpotNs ?? Number.NaN,
      latency: latencyNs ?? Number.NaN,
    })),
  );
}

describe.skipIf(!existsSync(`${root}llmservingsim_runs`))(
  'beside LLMServingSim (needs ../shared)',
  () => {
    it.each(Object.keys(expected))('%s', async (name) => {
      const [a, b] = [theirs(name), await ours(name)];
      b.forEach((value, i) => {
        const percent = (value / a[i] - 1) * 100;
        expect(Math.abs(percent - expected[name][i]), `figure ${i}: ${percent}`).toBeLessThan(1);
      });
    });

    it('ex_cxl with every layer fetched at once is theirs, to a millionth', async () => {
      const [a, b] = [theirs('ex_cxl'), await ours('ex_cxl', 32)];
      b.forEach((value, i) => {
        expect(Math.abs(value / a[i] - 1), `figure ${i}: ${value}`).toBeLessThan(1e-6);
      });
    });
  },
);
