/** What each figure consists of: cases of the manifest, other simulators' results, or runs of its own. */
import { resolve } from 'node:path';
import { UserError } from '@astrolabe/base';
import { formatError, formatNumber } from '../../format-comparison.js';
import type { Chart } from '../../html/chart.js';
import { tableFigures } from '../../validate/figures.js';
import { markdownTable } from '../../validate/format-markdown.js';
import type { Case } from '../../validate/manifest.js';
import { readTable } from '../read-table.js';
import { type CaseRun, type RunCaseOptions, runCase } from '../validate/run-case.js';
import { figure10 } from './figure-10.js';

export interface Source {
  readonly cases: readonly Case[];
  readonly options: RunCaseOptions;
}

export interface Figure {
  readonly title: string;
  /** Markdown. */
  readonly text: string;
  readonly charts: readonly Chart[];
}

export const figures: Readonly<Record<string, (source: Source) => Promise<Figure>>> = {
  '5': (source) =>
    fromCases(source, 'output throughput over time', [
      'fig5-a6000-md',
      'fig5-a6000-sd-pc',
      'fig5-a6000-sm',
      'fig8-h100-md',
    ]),
  '6': (source) => fromCases(source, 'power over time', ['fig6-a6000-tp1-power']),
  '7': (source) =>
    fromCases(source, 'memory and prefix hits', ['fig7-a6000-sd-pc', 'fig7-a6000-md-pc-ps']),
  '8': figure8,
  '9': (source) => fromCases(source, 'TPU v6e', ['fig9-tpu-sd']),
  '10': figure10,
};

async function runAll(source: Source, ids: readonly string[]): Promise<CaseRun[]> {
  const runs: CaseRun[] = [];
  for (const id of ids) {
    const given = source.cases.find((one) => one.id === id);
    if (given === undefined) throw new UserError(`the manifest has no case "${id}"`);
    runs.push(await runCase(given, source.options));
  }
  return runs;
}

async function fromCases(source: Source, title: string, ids: readonly string[]): Promise<Figure> {
  const runs = await runAll(source, ids);
  return {
    title,
    text: markdownTable(runs.map(({ result }) => result)),
    charts: runs.flatMap(({ result, charts }) =>
      charts.map((chart) => ({ ...chart, title: `${result.id}: ${chart.title}` })),
    ),
  };
}

const columns = ['throughput', 'ttftMean', 'tpotMean'] as const;

/** Latency and throughput beside other simulators, whose results came with the measurements. */
async function figure8(source: Source): Promise<Figure> {
  const ids = ['fig8-h100-sd', 'fig8-h100-md'];
  const runs = await runAll(source, ids);
  const lines = [
    '| case | from | throughput, tokens/s | % | TTFT, ms | % | TPOT, ms | % |',
    '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const { result } of runs) {
    const row = (name: string) => result.rows.find(({ metric }) => metric === name);
    const real = columns.map((name) => row(name)?.real ?? Number.NaN);
    const add = (from: string, values: readonly number[]): void => {
      const cells = values.flatMap((value, i) => [
        formatNumber(value),
        from === 'measured' ? '' : formatError((100 * (value - real[i])) / real[i]),
      ]);
      lines.push(`| ${[result.id, from, ...cells].join(' | ')} |`);
    };
    add('measured', real);
    add(
      'ours',
      columns.map((name) => row(name)?.ours ?? Number.NaN),
    );
    for (const [from, values] of others(source, result.id)) add(from, values);
  }
  return {
    title: 'latency and throughput beside other simulators',
    text: lines.join('\n'),
    charts: runs.flatMap(({ charts }) => charts),
  };
}

function others(source: Source, id: string): [string, number[]][] {
  const real = source.cases.find((one) => one.id === id)?.real;
  if (real?.kind !== 'summary-tsv') return [];
  return readTable(resolve(source.options.folder, real.path), '\t').flatMap((row) => {
    const from = Object.values(row)[0];
    if (from === real.row) return [];
    const found = tableFigures(row);
    return [[from, columns.map((name) => found[name] ?? Number.NaN)] as [string, number[]]];
  });
}
