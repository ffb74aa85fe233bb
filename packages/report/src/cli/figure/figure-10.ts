/**
 * Figure 10, simulated only: decode attention on the GPU, in memory that computes (PIM), and in PIM
 * with the batch in two halves that take turns (sub-batch interleaving, SBI).
 */
import { dirname, join, resolve } from 'node:path';
import { UserError } from '@astrolabe/base';
import type { EngineOverrides } from '@astrolabe/config';
import { type Served, serve } from '@astrolabe/serving-loop/cli';
import type { Chart } from '../../html/chart.js';
import type { Figure, Source } from './figures.js';

interface Variant {
  readonly name: string;
  readonly file: string;
  readonly flags: EngineOverrides;
  /** What LLMServingSim 2.0 reports: J per output token, throughput and best second relative to GPU. */
  readonly peer: readonly [joulePerToken: number, whole: number, best: number];
}

const variants: readonly Variant[] = [
  { name: 'GPU', file: 'gpu_only_config.json', flags: {}, peer: [0.282, 1, 1] },
  {
    name: 'GPU + PIM',
    file: 'pim_config.json',
    flags: { enable_attn_offloading: true },
    peer: [0.246, 1.15, 1.43],
  },
  {
    name: 'GPU + PIM + SBI',
    file: 'pim_config.json',
    flags: { enable_attn_offloading: true, enable_sub_batch_interleaving: true },
    peer: [0.283, 1, 1.45],
  },
];

const workload = 'v0/workloads/compact/fixed_in128_out512_req256_rate10.csv';

export async function figure10(source: Source): Promise<Figure> {
  // The configurations lie beside those of the other figures.
  const near = source.cases.find(({ id }) => id === 'fig6-a6000-tp1-power');
  if (near === undefined) throw new UserError('the manifest has no case "fig6-a6000-tp1-power"');
  const { folder, calibration } = source.options;
  const evaluation = dirname(dirname(dirname(resolve(folder, near.clusterConfig))));
  const root = dirname(dirname(evaluation));
  const runs: Served[] = [];
  for (const { file, flags } of variants) {
    runs.push(
      await serve({
        clusterConfig: join(evaluation, 'figure_10', 'config', file),
        workload: join(root, workload),
        profiles: resolve(folder, near.profiles),
        flags: {
          async_scheduling: false,
          max_num_seqs: 256,
          max_num_batched_tokens: 2048,
          ...flags,
        },
        routing: 'round-robin',
        seed: 0,
        intervalS: 1,
        calibration,
        summaryFormat: 'json',
        quiet: true,
      }),
    );
  }
  return { title: 'decode attention in memory', text: table(runs), charts: [chart(runs)] };
}

/** Largest gain over the GPU alone in one second, among those in which it does half its best or more. */
function bestGain({ run }: Served, gpu: Served): number {
  const tokens = (served: Served, second: number): number =>
    served.run.series.intervals[second]?.outputTokens ?? 0;
  const base = gpu.run.series.intervals.map((_, second) => tokens(gpu, second));
  const best = Math.max(...base);
  return run.series.intervals.reduce((most, { outputTokens }, second) => {
    return base[second] >= best / 2 ? Math.max(most, outputTokens / base[second]) : most;
  }, 0);
}

function table(runs: readonly Served[]): string {
  const [gpu] = runs;
  const lines = [
    '| | tokens/s | of GPU | in the best second | TPOT, ms | J/output token | LLMServingSim: of GPU | in the best second | J/output token |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  runs.forEach((served, i) => {
    const { throughput, tpotMs, power } = served.summary;
    const rate = throughput.outputTokensPerS;
    const [joule, whole, best] = variants[i].peer;
    const cells = [
      variants[i].name,
      rate.toFixed(0),
      ratio(rate, gpu.summary.throughput.outputTokensPerS),
      ratio(bestGain(served, gpu), 1),
      tpotMs?.mean.toFixed(1) ?? '',
      power?.energyPerOutputTokenJ?.toFixed(3) ?? '',
      ratio(whole, 1),
      ratio(best, 1),
      joule.toFixed(3),
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  });
  return `${lines.join('\n')}\n\n${explanation}`;
}

function ratio(value: number, base: number): string {
  return `${(value / base).toFixed(2)}x`;
}

function chart(runs: readonly Served[]): Chart {
  return {
    title: 'Output throughput, 256 requests of 128 + 512 tokens',
    xLabel: 's',
    yLabel: 'tokens/s',
    steps: true,
    lines: runs.map(({ run }, i) => ({
      name: variants[i].name,
      colour: i + 1,
      xs: run.series.intervals.map((_, second) => second),
      ys: run.series.intervals.map(({ outputTokens }) => outputTokens),
    })),
  };
}

const explanation = [
  'Where the gain comes from: a decode step reads all weights once, which batches share, and every',
  "request's own KV cache, which they do not. With 200 requests of some 400 tokens the KV cache is",
  'about a third of a step; the channels of the memory read it in parallel beside their banks, and what',
  'is left on the GPU is the weights. So the best second, with the most requests, gains most, and the',
  'whole run less: it begins and ends with few requests, and for its first 25 s it waits for arrivals.',
  'Energy per token falls with the shorter run, for most of it is power that is drawn whether or not',
  'tokens come out.',
  '',
  'Where it goes: with SBI each half of the batch reads all weights by itself, so a step reads them',
  'twice. That pays only when attention in memory takes about as long as the weights do; with fewer',
  'requests the halves wait for the GPU and the interleaving costs more than it hides.',
].join('\n');
