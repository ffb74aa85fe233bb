// Goal: the page holds every figure, escapes what it is given, needs nothing from outside, and a real
// browser lays its charts out (skipped without Chromium).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareRuns } from '../compare.js';
import { exampleSummary } from '../example-summary.test-helper.js';
import type { RunData } from '../run-data.js';
import { renderChart, ticks } from './chart.js';
import { type PageInput, renderPage } from './page.js';

const row = (id: string, arrivalNs: number, slow: number) => ({
  id,
  promptTokens: 8,
  outputTokens: 4,
  arrivalNs,
  scheduledNs: arrivalNs + slow * 1e6,
  firstTokenNs: arrivalNs + slow * 2e6,
  lastTokenNs: arrivalNs + slow * 5e6,
});
const run: RunData = {
  source: 's',
  rows: [row('0', 0, 1), row('1', 5, 2)],
  totalRequests: 2,
  notes: [],
};
const input: PageInput = {
  title: '<script>alert(1)</script>',
  summary: {
    ...exampleSummary,
    saturation: [
      {
        instance: 'i',
        binds: 'seats',
        waitedFor: { kv: 0, seats: 1, budget: 0 },
        busy: 1,
        bandwidth: 0,
        statement: 'i: seats bind',
      },
    ],
  },
  run,
  counters: [
    { name: 'output throughput', unit: 'tokens/s', intervalNs: 1e9, values: [1, 2, 3] },
    { name: 'KV in use', unit: '%', intervalNs: 1e9, values: [0, 50, 10] },
  ],
  comparison: { errors: compareRuns(run, run), real: run },
};
const page = renderPage(input);

describe('renderPage', () => {
  it('shows figures, charts, instances, comparison and notes', () => {
    for (const text of [
      'Incomplete: 2 of 3 requests finished.',
      '<dt>prefix hits</dt><dd>25.0 %</dd>',
      '<td>TTFT</td><td>1.00</td>',
      'i&lt;0&gt;',
      'x &amp; y',
      'limits: i: seats bind',
      '<dt>lookups</dt><dd>10.00 % outside the measured range',
      '<dt>links</dt><dd>measured, a.json: X &amp; Y</dd>',
      '<dt>profile</dt><dd>H, m, bf16: not measured: from a data sheet',
      'a &lt; b',
      '<dd>4 collectives and messages timed by the table, 1 of them (25.00 %) beyond',
      '+0.00',
    ]) {
      expect(page).toContain(text);
    }
    // Throughput, KV, and four distributions.
    expect(page.match(/<figure>/g)?.length).toBe(6);
  });

  it('shows targets, KV tiers and hand-overs where a run has them', () => {
    const slo = {
      class: 'c<hat>',
      targetsMs: { ttft: 500, tpot: 40 },
      requests: 8,
      attained: 6,
      attainment: 0.75,
      attainmentOf: { ttft: 0.75, tpot: 1 },
      goodputRequestsPerS: 1.5,
      goodputTokensPerS: 300,
    };
    const pool = { entries: 3, usedBytes: 2 ** 20, capacityBytes: 2 ** 30, evictions: 7 };
    const more = renderPage({
      ...input,
      summary: {
        ...exampleSummary,
        slo: [slo, { ...slo, class: '*' }],
        kvTransfers: { count: 5, tokens: 80 },
        kvTiers: [{ ...pool, pool: 'i/host', hitTokens: 16, queryTokens: 64 }],
        instances: [{ ...exampleSummary.instances[0], requests: 0, prompts: 4 }],
      },
    });
    for (const text of [
      '<tr><td>c&lt;hat&gt;</td><td>ttft 500 ms, tpot 40 ms</td><td>6 / 8</td><td>75.0 %</td><td>1.50</td><td>300</td></tr>',
      '<tr><td>others</td>',
      '<dt>KV transfers</dt><dd>5</dd>',
      '<td>i/host</td><td>3</td><td>1 / 1024</td><td>16 / 64</td><td>7</td>',
      '<td>4 prompts</td>',
    ]) {
      expect(more).toContain(text);
    }
    expect(page).not.toContain('<h2>Targets</h2>');
    expect(page).not.toContain('KV below the devices');
  });

  it('shows classes and costs where a run has them', () => {
    const { ttftMs, tpotMs, latencyMs } = exampleSummary;
    const one = { class: 'c<hat>', requests: 2, finished: 1, ttftMs, tpotMs, latencyMs };
    const cost = { perHour: 12, perMillionOutputTokens: 0.00234, perMillionTokens: 0.001 };
    const more = renderPage({
      ...input,
      summary: { ...exampleSummary, classes: [one, { ...one, class: null }], cost },
    });
    for (const text of [
      '<td>c&lt;hat&gt;</td><td>1 of 2</td><td>1.00</td><td>2.00</td>',
      '<td>(no class)</td>',
      '<dt>cost/hour</dt><dd>12</dd>',
      '<dt>cost/million output tokens</dt><dd>0.00234</dd>',
    ]) {
      expect(more).toContain(text);
    }
    expect(page).not.toContain('<h2>Classes</h2>');
    expect(page).not.toContain('cost');
  });

  it('calls another simulated run the base', () => {
    const series = { intervalNs: 1e9, promptTokens: [1], outputTokens: [2] };
    const real: RunData = { ...run, series, simulated: true };
    const two = renderPage({ ...input, comparison: { errors: compareRuns(run, real), real } });
    expect(two).toContain('<th>base</th><th>simulated</th><th>change %</th>');
    expect(two).toContain('output throughput, base');
    expect(two).not.toContain('measured<');
    expect(page).toContain('<th>measured</th><th>simulated</th><th>error %</th>');
  });

  it('escapes names and loads nothing', () => {
    expect(page).not.toContain('<script');
    expect(page).not.toMatch(/(src|href)=|url\(|@import/);
  });
});

describe('charts', () => {
  it('have round ticks that cover the data', () => {
    expect(ticks(0, 97)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticks(0.1, 0.3)).toEqual([0.1, 0.15, 0.2, 0.25, 0.3]);
    expect(ticks(5, 5)[0]).toBeLessThanOrEqual(5);
    expect(ticks(0, 0)[0]).toBe(0);
  });

  it('draw nothing without points and stay small with many', () => {
    const chart = { title: 't', xLabel: 'x', yLabel: 'y' };
    expect(renderChart({ ...chart, lines: [{ name: 'a', xs: [], ys: [], colour: 1 }] })).toBe('');
    const xs = Array.from({ length: 100_000 }, (_, i) => i);
    const svg = renderChart({ ...chart, lines: [{ name: 'a', xs, ys: xs, colour: 1 }] });
    expect(svg.length).toBeLessThan(30_000);
    expect(svg).not.toContain('NaN');
  });
});

const browsers = ['/usr/bin/chromium', '/usr/bin/google-chrome', '/usr/bin/chromium-browser'];
const browser = browsers.find((path) => existsSync(path));

describe.skipIf(browser === undefined)('in a browser (needs Chromium)', () => {
  it('lays every chart out with a size', () => {
    const dir = mkdtempSync(join(tmpdir(), 'page-'));
    const path = join(dir, 'page.html');
    // The probe writes what it measured into the document.
    const probe =
      '<script>document.title = [...document.querySelectorAll("figure > svg path.line")]' +
      '.map((p) => Math.round(p.getTotalLength() > 0 && p.getBoundingClientRect().width > 0))' +
      '.join("")</script>';
    writeFileSync(path, page.replace('</body>', `${probe}</body>`));
    try {
      const dom = execFileSync(
        browser as string,
        [
          '--headless',
          '--no-sandbox',
          '--disable-gpu',
          `--user-data-dir=${dir}/profile`,
          '--dump-dom',
          `file://${path}`,
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 45_000 },
      );
      // One line in each of two counters, two in each of four distributions.
      expect(/<title>(\d+)<\/title>/.exec(dom)?.[1]).toBe('1'.repeat(10));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
