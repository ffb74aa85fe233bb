/** A run as one HTML page without script or network: figures, charts, and a measured run beside it. */
import { nsPerMs, nsPerS } from '@astrolabe/base';
import {
  classCells,
  classColumns,
  className,
  overloadLine,
  type Summary,
  trustCardRows,
} from '@astrolabe/serving-loop';
import { threeFigures } from '../capacity/format-capacities.js';
import type { Comparison } from '../compare.js';
import { formatError, formatNumber } from '../format-comparison.js';
import { type LatencyMetric, latencyMetrics } from '../latency-metrics.js';
import type { RequestRow, RunData } from '../run-data.js';
import type { CounterSeries } from '../timeline/run-records.js';
import { type Chart, escapeHtml, type Line, renderChart } from './chart.js';

export interface PageInput {
  readonly title: string;
  readonly summary: Summary;
  readonly run: RunData;
  readonly counters: readonly CounterSeries[];
  readonly comparison?: { readonly errors: Comparison; readonly real: RunData } | undefined;
}

export function renderPage(input: PageInput): string {
  const { summary } = input;
  const { finished, total } = summary.requests;
  const incomplete = summary.complete
    ? ''
    : `<p class="warning">Incomplete: ${finished} of ${total} requests finished.</p>`;
  const sections = [
    `<h1>${escapeHtml(input.title)}</h1>`,
    incomplete,
    overloadWarning(summary),
    keyFigures(summary),
    latencyTable(summary),
    classTable(summary),
    targetTable(summary),
    '<h2>Over time</h2>',
    `<div class="charts">${timeCharts(input).map(renderChart).join('\n')}</div>`,
    '<h2>Requests</h2>',
    `<div class="charts">${distributionCharts(input).map(renderChart).join('\n')}</div>`,
    instanceTable(summary),
    tierTable(summary),
    input.comparison === undefined ? '' : comparisonTable(input.comparison.errors),
    notes(input),
    trustCard(summary),
  ];
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(input.title)}</title>`,
    `<style>${style}</style></head>`,
    '<body><main>',
    ...sections.filter((section) => section !== ''),
    '</main></body></html>\n',
  ].join('\n');
}

function overloadWarning({ trust }: Summary): string {
  const line = overloadLine(trust);
  return line === undefined ? '' : `<p class="warning">${escapeHtml(line)}</p>`;
}

function keyFigures(summary: Summary): string {
  const { throughput } = summary;
  const share = summary.promptTokens > 0 ? summary.prefixHitTokens / summary.promptTokens : 0;
  const figures: [string, string][] = [
    ['requests', `${summary.requests.finished} / ${summary.requests.total}`],
    ['makespan', `${summary.makespanS.toFixed(2)} s`],
    ['requests/s', throughput.requestsPerS.toFixed(2)],
    ['output tokens/s', throughput.outputTokensPerS.toFixed(0)],
    ['prompt tokens/s', throughput.promptTokensPerS.toFixed(0)],
    ['prefix hits', `${(100 * share).toFixed(1)} %`],
    ['preemptions', String(summary.preemptions)],
  ];
  if (summary.kvTransfers !== undefined) {
    figures.push(['KV transfers', String(summary.kvTransfers.count)]);
  }
  if (summary.cost !== undefined) {
    const { perHour, perMillionOutputTokens } = summary.cost;
    figures.push(['cost/hour', threeFigures(perHour)]);
    if (perMillionOutputTokens !== null) {
      figures.push(['cost/million output tokens', threeFigures(perMillionOutputTokens)]);
    }
  }
  if (summary.power !== undefined) {
    const { meanPowerW, energyJ, energyPerOutputTokenJ } = summary.power;
    figures.push(['mean power', `${meanPowerW.toFixed(0)} W`]);
    figures.push(['energy', `${(energyJ / 1000).toFixed(1)} kJ`]);
    if (energyPerOutputTokenJ !== null) {
      figures.push(['J/output token', energyPerOutputTokenJ.toFixed(3)]);
    }
  }
  const items = figures.map(
    ([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`,
  );
  return `<dl class="figures">${items.join('')}</dl>`;
}

function latencyTable(summary: Summary): string {
  const rows = [
    ['TTFT', summary.ttftMs],
    ['TPOT', summary.tpotMs],
    ['ITL', summary.itlMs],
    ['latency', summary.latencyMs],
    ['queueing', summary.queueingMs],
  ] as const;
  const cells = rows.flatMap(([name, d]) =>
    d === null ? [] : [[name, ...[d.mean, d.p50, d.p90, d.p95, d.p99].map((v) => v.toFixed(2))]],
  );
  return table(['ms', 'mean', 'p50', 'p90', 'p95', 'p99'], cells);
}

function classTable({ classes = [] }: Summary): string {
  if (classes.length === 0) return '';
  const rows = classes.map((row) => [className(row), ...classCells(row)]);
  return `<h2>Classes</h2>${table(['class, ms', ...classColumns], rows)}`;
}

function targetTable({ slo = [] }: Summary): string {
  if (slo.length === 0) return '';
  const rows = slo.map((row) => [
    row.class === '*' ? (slo.length > 1 ? 'others' : 'all') : row.class,
    Object.entries(row.targetsMs)
      .map(([name, ms]) => `${name} ${ms} ms`)
      .join(', '),
    `${row.attained} / ${row.requests}`,
    `${(100 * row.attainment).toFixed(1)} %`,
    row.goodputRequestsPerS.toFixed(2),
    row.goodputTokensPerS.toFixed(0),
  ]);
  const goodput = ['goodput, requests/s', 'goodput, output tokens/s'];
  return `<h2>Targets</h2>${table(['class', 'targets', 'within', 'share', ...goodput], rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return (
    `<div class="scroll"><table><thead>${line('th', head)}</thead>` +
    `<tbody>${rows.map((row) => line('td', row)).join('')}</tbody></table></div>`
  );
}

/** Counters of one unit and kind share a chart. */
function timeCharts(input: PageInput): Chart[] {
  const groups = new Map<string, CounterSeries[]>();
  for (const series of input.counters) {
    const group = groups.get(series.unit) ?? [];
    group.push(series);
    groups.set(series.unit, group);
  }
  const titles: Record<string, string> = {
    'tokens/s': 'Throughput',
    requests: 'Requests in the system',
    '%': 'KV cache in use',
    W: 'Power of the system',
    'GB/s': 'Traffic',
  };
  return [...groups].map(([unit, group]) => ({
    title: titles[unit] ?? unit,
    xLabel: 'simulated time, s',
    yLabel: unit,
    steps: true,
    lines: [
      ...group.map((series, i) => counterLine(series, 1 + (i % 4))),
      ...(unit === 'tokens/s' ? realThroughput(input) : []),
    ],
  }));
}

function counterLine(series: CounterSeries, colour: number): Line {
  return {
    name: series.name,
    colour,
    xs: series.values.map((_, i) => (i * series.intervalNs) / nsPerS),
    ys: series.values,
  };
}

function realThroughput({ comparison }: PageInput): Line[] {
  const series = comparison?.real.series;
  if (series === undefined) return [];
  const seconds = series.intervalNs / nsPerS;
  const xs = series.outputTokens.map((_, i) => i * seconds);
  const ys = series.outputTokens.map((tokens) => tokens / seconds);
  return [{ name: `output throughput, ${otherName(comparison)}`, colour: 1, dashed: true, xs, ys }];
}

function distributionCharts({ run, comparison }: PageInput): Chart[] {
  const charts: [LatencyMetric, string][] = [
    ['ttft', 'Time to first token'],
    ['tpot', 'Time per output token'],
    ['latency', 'Latency'],
    ['queueing', 'Queueing'],
  ];
  return charts.map(([metric, title]) => ({
    title,
    xLabel: 'ms',
    yLabel: 'share of requests, %',
    lines: [
      cumulative('simulated', run.rows, metric, false),
      ...(comparison === undefined
        ? []
        : [cumulative(otherName(comparison), comparison.real.rows, metric, true)]),
    ],
  }));
}

/** What the other run's lines are called. */
function otherName(comparison: PageInput['comparison']): string {
  return comparison?.real.simulated === true ? 'base' : 'measured';
}

/** Cumulative distribution. */
function cumulative(
  name: string,
  rows: readonly RequestRow[],
  metric: LatencyMetric,
  dashed: boolean,
): Line {
  const values = rows.flatMap((row) => latencyMetrics[metric](row) ?? []);
  const xs = values.map((value) => value / nsPerMs).sort((a, b) => a - b);
  const ys = xs.map((_, i) => (100 * (i + 1)) / xs.length);
  return { name, colour: dashed ? 2 : 1, dashed, xs, ys };
}

function instanceTable(summary: Summary): string {
  const rows = summary.instances.map((instance) => [
    instance.name,
    instance.model,
    instance.hardware,
    instance.prompts === undefined ? String(instance.requests) : `${instance.prompts} prompts`,
    `${instance.kvPeakBlocks} / ${instance.kvBlocks}`,
    String(instance.preemptions),
  ]);
  const head = ['instance', 'model', 'hardware', 'requests', 'KV peak / blocks', 'preemptions'];
  return `<h2>Instances</h2>${table(head, rows)}`;
}

function tierTable({ kvTiers = [] }: Summary): string {
  if (kvTiers.length === 0) return '';
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const rows = kvTiers.map((pool) => [
    pool.pool,
    String(pool.entries),
    `${mib(pool.usedBytes)} / ${mib(pool.capacityBytes)}`,
    `${pool.hitTokens} / ${pool.queryTokens}`,
    String(pool.evictions),
  ]);
  const head = ['pool', 'chunks', 'MiB', 'tokens hit / asked for', 'evicted'];
  return `<h2>KV below the devices</h2>${table(head, rows)}`;
}

function comparisonTable(errors: Comparison): string {
  const rows = errors.metrics.map((row) => [
    row.metric,
    row.statistic,
    formatNumber(row.real),
    formatNumber(row.simulated),
    formatError(row.errorPct),
    row.unit,
  ]);
  const base = errors.real.simulated === true;
  const head = [
    'metric',
    '',
    base ? 'base' : 'measured',
    'simulated',
    base ? 'change %' : 'error %',
    'unit',
  ];
  return `<h2>Against ${escapeHtml(errors.real.source)}</h2>${table(head, rows)}`;
}

function notes({ summary, comparison }: PageInput): string {
  const lines = [
    ...summary.saturation.map(({ statement }) => `limits: ${statement}`),
    ...summary.fitted.map((source) => `fitted: ${source}`),
    ...(comparison?.errors.notes ?? []),
  ];
  if (lines.length === 0) return '';
  return `<h2>Notes</h2><ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

function trustCard({ trust }: Summary): string {
  const rows = trustCardRows(trust).map(
    ([label, text]) => `<dt>${escapeHtml(label)}</dt><dd>${escapeHtml(text)}</dd>`,
  );
  return `<h2>Trust card</h2><dl class="card">${rows.join('')}</dl>`;
}

const style = `
:root { color-scheme: light dark; --ink: #1d2127; --soft: #667080; --rule: #d9dde3; --paper: #fff;
  --c1: #2563b0; --c2: #c2571a; --c3: #2d7d46; --c4: #7a4bb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #98a2b0; --rule: #343b45;
  --paper: #16191d; --c1: #6aa5ee; --c2: #f0935a; --c3: #6cc08a; --c4: #b892ea; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; overflow-wrap: anywhere; } h2 { font-size: 17px; margin-top: 32px; }
.warning { border: 2px solid var(--c2); padding: 8px 12px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px 32px; margin: 16px 0 24px; }
.figures dt { color: var(--soft); font-size: 13px; } .figures dd { margin: 0; font-size: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 24px; }
figure { margin: 0; } figcaption { font-weight: 600; } figure > svg { width: 100%; height: auto; }
.line { fill: none; stroke-width: 1.6; } .dashed { stroke-dasharray: 5 3; }
.c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); }
.grid { stroke: var(--rule); } .tick, .axis { fill: var(--soft); font-size: 11px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--soft); }
.legend svg { margin-right: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
li, .card dd { overflow-wrap: anywhere; }
.card { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; }
.card dt { color: var(--soft); } .card dd { margin: 0; }
`;
