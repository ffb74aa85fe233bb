/** Validation results as Markdown: one row per case and metric that has a limit. */
import { formatError, formatNumber } from '../format-comparison.js';
import { tally } from './format-results.js';
import { type CaseResult, type CaseRow, coverage } from './verdict.js';

const head = [
  'case',
  'role',
  'metric',
  'real',
  'ours',
  'error %',
  'must be',
  'LLMServingSim %',
  '',
];

export function markdownTable(results: readonly CaseResult[]): string {
  const cells = (values: readonly string[]): string => `| ${values.join(' | ')} |`;
  return [
    cells(head),
    cells(
      head.map((name) =>
        name === 'case' || name === 'role' || name === 'metric' ? '---' : '---:',
      ),
    ),
    ...results.flatMap(({ id, role, rows }) =>
      rows
        .filter(({ limitPct }) => limitPct !== null)
        .map((row) => cells([id, role, row.metric, ...figures(row)])),
    ),
    '',
    `${tally(results)}.`,
    ...coverageLines(results),
  ].join('\n');
}

function coverageLines(results: readonly CaseResult[]): string[] {
  const { metrics, covered, medianWidthPct } = coverage(results);
  if (metrics === 0) return [];
  return [
    '',
    `The 90 % intervals hold ${covered} of ${metrics} measured means of the acceptance cases ` +
      `(${((100 * covered) / metrics).toFixed(0)} %); median width ${medianWidthPct.toFixed(1)} % of the value.`,
  ];
}

function figures(row: CaseRow): string[] {
  const number = (value: number | null): string => (value === null ? '' : formatNumber(value));
  const missed = row.result === 'exceeded';
  return [
    number(row.real),
    number(row.ours),
    missed ? `**${formatError(row.errorPct)}**` : formatError(row.errorPct),
    row.limitPct === 0 ? 'exact' : `\u2264 ${row.limitPct}`,
    row.peerErrorPct === null ? '' : formatError(row.peerErrorPct),
    missed ? 'missed' : row.result,
  ];
}

/**
 * The text with what stands between `<!-- name:begin -->` and `<!-- name:end -->` replaced; at the
 * end when the markers are missing.
 */
export function replaceSection(text: string, name: string, content: string): string {
  const begin = `<!-- ${name}:begin -->`;
  const end = `<!-- ${name}:end -->`;
  const block = `${begin}\n\n${content.trim()}\n\n${end}`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) return `${text.trimEnd()}\n\n${block}\n`;
  return text.slice(0, from) + block + text.slice(to + end.length);
}
