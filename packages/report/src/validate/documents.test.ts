/** What a validation puts into the documentation: sections replaced in place, coverage, ablation, plots. */
import { describe, expect, it } from 'vitest';
import { renderSvg } from '../html/chart.js';
import { formatAblation, meanAbsoluteError } from './ablation.js';
import { markdownTable, replaceSection } from './format-markdown.js';
import { type CaseResult, type CaseRow, coverage } from './verdict.js';

function row(changes: Partial<CaseRow>): CaseRow {
  return {
    metric: 'tpotMean',
    real: 100,
    ours: 102,
    errorPct: 2,
    limitPct: 1,
    peerErrorPct: -3,
    result: 'exceeded',
    ...changes,
  };
}

function result(role: string, rows: readonly CaseRow[]): CaseResult {
  return { id: 'a', role, status: 'failed', notes: [], rows };
}

describe('replaceSection', () => {
  it('appends a section, then replaces only that', () => {
    const once = replaceSection('# Title\n', 'x', 'one');
    const other = replaceSection(once, 'y', 'other');
    const twice = replaceSection(other, 'x', 'two');
    expect(twice).toContain('# Title');
    expect(twice).toContain('two');
    expect(twice).toContain('other');
    expect(twice).not.toContain('one');
    expect(replaceSection(twice, 'x', 'two')).toBe(twice);
  });
});

describe('coverage', () => {
  it('counts acceptance means inside their intervals', () => {
    const inside = row({ interval90: [99, 105] });
    const outside = row({ interval90: [101, 104] });
    const found = coverage([
      result('acceptance', [inside, outside, row({})]),
      result('calibration', [inside]),
    ]);
    expect(found).toMatchObject({ metrics: 2, covered: 1 });
    expect(found.medianWidthPct).toBeCloseTo(600 / 102, 9);
  });
});

describe('markdownTable', () => {
  it('marks what was missed and leaves out what has no limit', () => {
    const text = markdownTable([
      result('acceptance', [row({}), row({ metric: 'x', limitPct: null })]),
    ]);
    expect(text).toContain(
      '| a | acceptance | tpotMean | 100 | 102 | **+2.00** | \u2264 1 | -3.00 | missed |',
    );
    expect(text).not.toContain('| x |');
  });
});

describe('ablation', () => {
  it('averages absolute errors over metrics with a limit', () => {
    const rows = [
      row({ errorPct: -3 }),
      row({ errorPct: 1 }),
      row({ errorPct: 50, limitPct: null }),
    ];
    expect(meanAbsoluteError(result('', rows))).toBe(2);
    expect(meanAbsoluteError(result('', []))).toBeUndefined();
  });

  it('leaves a cell empty where a term does nothing', () => {
    const text = formatAblation(
      [
        { id: 'a', error: 2 },
        { id: 'b', error: 1 },
      ],
      [{ name: 't', gains: [0.5, 0] }],
    );
    expect(text.split('\n')[3]).toBe('| t | +0.50 |  |');
  });
});

describe('renderSvg', () => {
  const line = { name: 'a < b', colour: 1, xs: [0, 1], ys: [1, 2] };
  const chart = { title: 'T', xLabel: 'x', yLabel: 'y', lines: [line] };

  it('stacks charts and escapes names', () => {
    const svg = renderSvg([chart, chart]);
    expect(svg.match(/class="title"/g)).toHaveLength(2);
    expect(svg).toContain('a &lt; b');
  });

  it('is empty without a point', () => {
    expect(renderSvg([{ ...chart, lines: [] }])).toBe('');
  });
});
