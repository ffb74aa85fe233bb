/** Validation results for people: case, metric, real, ours, error, limit; the peer where it is known. */
import { formatError, formatNumber } from '../format-comparison.js';
import type { CaseResult, CaseRow } from './verdict.js';

const columns = ['metric', 'real', 'ours', 'error %', 'limit %', 'peer %', ''] as const;
const widths = [20, 12, 12, 9, 8, 9, 0];

export function formatResults(results: readonly CaseResult[]): string {
  const supported = results.filter((result) => result.status !== 'unsupported');
  const width = Math.max(4, ...supported.map((result) => result.id.length));
  const lines = [line('case'.padEnd(width), columns)];
  for (const result of supported) {
    for (const row of result.rows) lines.push(line(result.id.padEnd(width), cells(row)));
    for (const note of result.notes) lines.push(`${result.id.padEnd(width)}  note: ${note}`);
  }
  const others = results.filter((result) => result.status === 'unsupported');
  if (others.length > 0) lines.push('', 'not yet supported:');
  for (const { id, notes } of others) lines.push(`  ${id}: ${notes.join('; ')}`);
  lines.push('', tally(results));
  return `${lines.map((text) => text.trimEnd()).join('\n')}\n`;
}

export function tally(results: readonly CaseResult[]): string {
  const count = (status: CaseResult['status']): number =>
    results.filter((result) => result.status === status).length;
  return `${count('passed')} passed, ${count('failed')} failed, ${count('unsupported')} not yet supported`;
}

function line(head: string, values: readonly string[]): string {
  const padded = values.map((value, i) =>
    i === 0 ? value.padEnd(widths[i]) : value.padStart(widths[i]),
  );
  return [head, ...padded].join('  ');
}

const words = { ok: 'ok', exceeded: 'EXCEEDED', info: '', unsupported: 'not yet supported' };

function cells(row: CaseRow): string[] {
  const number = (value: number | null): string => (value === null ? '-' : formatNumber(value));
  return [
    row.metric,
    number(row.real),
    number(row.ours),
    formatError(row.errorPct),
    row.limitPct === null ? '-' : String(row.limitPct),
    formatError(row.peerErrorPct),
    words[row.result],
  ];
}
