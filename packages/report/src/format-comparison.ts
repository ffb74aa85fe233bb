/** A comparison for people: one line per figure. */
import type { Comparison, MetricError } from './compare.js';

const width = { metric: 14, statistic: 6, number: 13 };

export function formatComparison(comparison: Comparison): string {
  const { real, simulated, matched, unqueued } = comparison;
  const base = real.simulated === true;
  const word = base ? 'change' : 'error';
  const lines = [
    `${base ? 'base' : 'real'}       ${real.source}, ${real.requests} requests`,
    `simulated  ${simulated.source}, ${simulated.requests} requests`,
    `matched    ${matched} requests${unqueued === 0 ? '' : `, of which ${unqueued} did not queue`}`,
    '',
    heading(base ? 'base' : 'real', word),
    ...comparison.metrics.map(metricLine),
    '',
    `per request         ${`mean |${word}| %`.padStart(15)}${`mean ${word} %`.padStart(16)}   requests`,
    ...Object.entries(comparison.perRequest).map(([name, error]) =>
      [
        name.padEnd(width.metric + 6),
        error.mapePct.toFixed(1).padStart(13),
        formatError(error.meanPct).padStart(15),
        String(error.requests).padStart(10),
      ].join(' '),
    ),
  ];
  const series = comparison.throughputSeries;
  if (series !== null) {
    lines.push(
      '',
      `output throughput over ${series.intervals} intervals: WAPE ${series.wapePct.toFixed(2)} %, ` +
        `cumulative tokens ${series.cumulativePct.toFixed(2)} %`,
    );
  }
  if (comparison.notes.length > 0) lines.push('');
  for (const note of comparison.notes) lines.push(`note: ${note}`);
  return `${lines.join('\n')}\n`;
}

function heading(other: string, word: string): string {
  return [
    'metric'.padEnd(width.metric),
    ''.padEnd(width.statistic),
    other.padStart(width.number),
    'simulated'.padStart(width.number),
    `${word} %`.padStart(9),
    ' unit',
  ].join(' ');
}

function metricLine(row: MetricError): string {
  return [
    row.metric.padEnd(width.metric),
    row.statistic.padEnd(width.statistic),
    formatNumber(row.real).padStart(width.number),
    formatNumber(row.simulated).padStart(width.number),
    formatError(row.errorPct).padStart(9),
    ` ${row.unit}`,
  ].join(' ');
}

export function formatError(value: number | null): string {
  return value === null ? '-' : `${value >= 0 ? '+' : ''}${value.toFixed(2)}`;
}

export function formatNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
