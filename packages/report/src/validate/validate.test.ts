// Goal: manifest figures in all their spellings, limits applied to signed errors, and honest listing
// of what cannot be checked.
import { describe, expect, it } from 'vitest';
import { caseOptions } from './engine-options.js';
import { inlineFigures, runFigures, tableFigures } from './figures.js';
import { formatResults } from './format-results.js';
import { caseSchema } from './manifest.js';
import { type CaseResult, caseStatus, judge, type Measured } from './verdict.js';

describe('caseOptions', () => {
  it('maps engine keys to options', () => {
    const options = caseOptions({
      maxNumSeqs: 128,
      blockSize: 16,
      prefixCaching: false,
      chunkedPrefill: true,
      kvBlocks: 2588,
      memoryUtilization: 0.9,
      deviceMemoryBytes: 25250627584,
      routing: 'RR',
    });
    expect(options).toEqual({
      flags: {
        max_num_seqs: 128,
        block_size: 16,
        enable_prefix_caching: false,
        enable_chunked_prefill: true,
        kv_blocks: 2588,
      },
      kvTiers: undefined,
      memoryUtilization: 0.9,
      deviceMemoryBytes: 25250627584,
      routing: 'round-robin',
      unsupported: [],
    });
  });

  it('makes a shared KV tier', () => {
    const { kvTiers } = caseOptions({ sharedPrefixTier: 'host', sharedPrefixChunkTokens: 128 });
    expect(kvTiers).toMatchObject([{ tier: 'host', shared: true, chunk_tokens: 128 }]);
  });

  it('names what it does not understand', () => {
    expect(caseOptions({ speculation: 'eagle' }).unsupported).toEqual(['speculation']);
    expect(caseOptions({ sharedPrefixTier: 'moon' }).unsupported).toEqual([
      'sharedPrefixTier=moon',
    ]);
    expect(caseOptions({ blockSize: 'big' }).unsupported[0]).toContain('block_size');
  });
});

describe('figures', () => {
  it('come from inline values in any unit', () => {
    expect(
      inlineFigures({
        ttftMeanMs: 57.29,
        ttftP99S: 0.2,
        tpotMedianMs: 30,
        unqueuedTtftMeanMs: 5,
        e2elP90Ms: 8,
        makespanS: 65.9,
        throughputTokS: 1899.51,
        kvBlocks: 2588,
      }),
    ).toEqual({
      ttftMean: 57.29,
      ttftP99: 200,
      tpotP50: 30,
      unqueuedTtftMean: 5,
      latencyP90: 8,
      makespan: 65.9,
      throughput: 1899.51,
      kvBlocks: 2588,
    });
  });

  it('come from a summary table', () => {
    const row = { framework: 'vLLM', throughput_tok_s: '1858.47', mean_ttft_ms: '50.33' };
    expect(tableFigures(row)).toEqual({ throughput: 1858.47, ttftMean: 50.33 });
  });

  it('come from rows: one request, 3 tokens, first after 1 s, last after 3 s', () => {
    const figures = runFigures({
      source: 'x',
      totalRequests: 1,
      notes: [],
      kvBlocks: 7,
      rows: [
        {
          id: '0',
          promptTokens: 5,
          outputTokens: 3,
          arrivalNs: 0,
          scheduledNs: 1e6,
          firstTokenNs: 1e9,
          lastTokenNs: 3e9,
        },
      ],
    });
    expect(figures).toMatchObject({
      ttftMean: 1000,
      unqueuedTtftP99: 1000,
      tpotP50: 1000,
      latencyMean: 3000,
      prefillMean: 999,
      itlMean: 1000,
      makespan: 3,
      throughput: 1,
      kvBlocks: 7,
    });
  });
});

const given = caseSchema.parse({
  id: 'a',
  profiles: 'p',
  workload: 'w',
  clusterConfig: 'c',
  limitsPct: { ttftMean: 2, tpotMean: 1, throughputWape: 5, energy: 1 },
  exact: { prefixHitTokens: 10, poolMiB: 3 },
});

const measured: Measured = {
  real: { ttftMean: 100, tpotMean: 50, latencyMean: 10 },
  ours: { ttftMean: 98, tpotMean: 50.6, latencyMean: 11 },
  peer: { ttftMean: 90 },
  seriesErrors: { throughputWape: 4 },
  counts: { prefixHitTokens: 10 },
};

describe('judge', () => {
  const rows = judge(given, measured);

  it('holds each limited metric to its limit, both signs, the edge included', () => {
    expect(rows.map((row) => `${row.metric} ${row.result}`)).toEqual([
      'ttftMean ok',
      'tpotMean exceeded',
      'throughputWape ok',
      'energy unsupported',
      'latencyMean info',
      'prefixHitTokens ok',
      'poolMiB unsupported',
    ]);
    expect(rows[0]).toMatchObject({ errorPct: -2, limitPct: 2, peerErrorPct: -10 });
    expect(rows[1].errorPct).toBeCloseTo(1.2, 9);
    const below = { ...measured, ours: { ...measured.ours, ttftMean: 97.9 } };
    expect(judge(given, below)[0]).toMatchObject({ metric: 'ttftMean', result: 'exceeded' });
  });

  it('fails a case on one exceeded limit and never passes one without a checked limit', () => {
    expect(caseStatus(rows)).toBe('failed');
    expect(caseStatus(rows.filter((row) => row.result !== 'exceeded'))).toBe('passed');
    expect(caseStatus(rows.filter((row) => row.result === 'unsupported'))).toBe('unsupported');
    const wrong = judge(given, { ...measured, counts: { prefixHitTokens: 11 } });
    expect(wrong.find((row) => row.metric === 'prefixHitTokens')?.result).toBe('exceeded');
  });

  it('is shown as a table', () => {
    const results: CaseResult[] = [
      { id: 'a', role: '', status: 'failed', notes: ['fitted: x'], rows },
      { id: 'b', role: '', status: 'unsupported', notes: ['engine options q'], rows: [] },
    ];
    expect(formatResults(results)).toMatchInlineSnapshot(`
      "case  metric                        real          ours    error %   limit %     peer %
      a     ttftMean                       100            98      -2.00         2     -10.00  ok
      a     tpotMean                        50         50.60      +1.20         1          -  EXCEEDED
      a     throughputWape                   -             -      +4.00         5          -  ok
      a     energy                           -             -          -         1          -  not yet supported
      a     latencyMean                     10            11     +10.00         -          -
      a     prefixHitTokens                 10            10      +0.00         0          -  ok
      a     poolMiB                          3             -          -         0          -  not yet supported
      a     note: fitted: x

      not yet supported:
        b: engine options q

      0 passed, 1 failed, 1 not yet supported
      "
    `);
  });
});
