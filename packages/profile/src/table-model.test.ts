/** Goal: lookups of measured tables by hand-worked numbers. Method: tables of a few points. */
import { describe, expect, test } from 'vitest';
import type { AttentionBatch } from './latency-model.js';
import { type ProfileRow, ProfileTableBuilder } from './profile-table.js';
import { modelOfTable, type TableModel } from './table-model.js';

const info = {
  hardware: 'GPU',
  model: 'org/Model',
  dtype: 'bf16',
  source: 'made up',
  measurement: 'kernel',
} as const;

function modelOf(rows: readonly ProfileRow[]): TableModel {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return modelOfTable(builder.build(info));
}

function dense(tokens: number, durationNs: number): ProfileRow {
  return { kind: 'dense', operator: 'qkv_proj', tp: 1, tokens, durationNs };
}

/** time of (chunk, context, decodes, decode context) */
function attention(q: number, c: number, n: number, k: number, durationNs: number): ProfileRow {
  return {
    kind: 'attention',
    operator: 'attention',
    tp: 1,
    tokens: q,
    contextTokens: c,
    sequences: n,
    decodeContextTokens: k,
    durationNs,
  };
}

function batch(
  prefills: readonly (readonly [number, number])[],
  decodeContexts: readonly number[] = [],
): AttentionBatch {
  return {
    prefillCount: prefills.length,
    prefillNewTokens: prefills.map((p) => p[0]),
    prefillContextTokens: prefills.map((p) => p[1]),
    decodeCount: decodeContexts.length,
    decodeContextSum: decodeContexts.reduce((a, b) => a + b, 0),
    decodeContextMin: Math.min(...decodeContexts, Number.POSITIVE_INFINITY),
    decodeContextMax: Math.max(...decodeContexts, 0),
  };
}

describe('dense operators', () => {
  const model = modelOf([dense(1, 100), dense(4, 160), dense(16, 400), dense(32, 560)]);

  test('linear between points, exact on them', () => {
    expect(model.denseNs('qkv_proj', 1, 4)).toBe(160);
    expect(model.denseNs('qkv_proj', 1, 2)).toBe(120);
    expect(model.denseNs('qkv_proj', 1, 10)).toBe(280);
    expect(model.counters).toEqual({ exact: 1, interpolated: 2, extrapolated: 0 });
  });

  test('beyond the last point the slope of the upper half continues', () => {
    // From 16 to 32 tokens: 10 ns a token.
    expect(model.denseNs('qkv_proj', 1, 100)).toBe(560 + 68 * 10);
    expect(model.counters.extrapolated).toBe(1);
  });

  test('unknown operators and degrees name what there is', () => {
    expect(() => model.denseNs('qkv_prj', 1, 1)).toThrow(/no operator "qkv_prj" at TP 1/);
    expect(() => model.denseNs('qkv_proj', 2, 1)).toThrow(/no measurements at .* degree 2/);
    expect(model.has('qkv_proj', 1)).toBe(true);
    expect(model.has('qkv_proj', 2)).toBe(false);
    expect(model.has('attention', 1)).toBe(false);
  });
});

describe('attention', () => {
  // decode alone 10 n + k n / 10; chunk alone q + c / 10 + 50; together their sum less 20.
  const rows: ProfileRow[] = [];
  const decodeNs = (n: number, k: number): number => 10 * n + (n * k) / 10;
  const prefillNs = (q: number, c: number): number => 50 + q + c / 10;
  for (const n of [1, 4, 8])
    for (const k of [10, 100]) rows.push(attention(0, 0, n, k, decodeNs(n, k)));
  for (const q of [16, 64])
    for (const c of [0, 100]) rows.push(attention(q, c, 0, 0, prefillNs(q, c)));
  for (const q of [16, 64]) {
    for (const c of [0, 100]) {
      for (const n of [1, 4]) {
        for (const k of [10, 100]) {
          // One ragged hole, to be continued from its neighbours.
          if (q === 64 && c === 100 && n === 4 && k === 100) continue;
          rows.push(attention(q, c, n, k, prefillNs(q, c) + decodeNs(n, k) - 20));
        }
      }
    }
  }
  const model = modelOf(rows);

  test('decodes alone: bilinear in count and mean context', () => {
    expect(model.attentionNs(1, batch([], [55, 55]))).toBe(Math.round(20 + 11));
  });

  test('one chunk alone: bilinear in tokens and context', () => {
    expect(model.attentionNs(1, batch([[40, 50]]))).toBe(95);
  });

  test('mixed batches; 8 decodes were measured alone only', () => {
    expect(model.attentionNs(1, batch([[16, 0]], [10, 10, 10, 10]))).toBe(66 + 44 - 20);
    expect(model.attentionNs(1, batch([[16, 0]], new Array(8).fill(10)))).toBe(66 + 88 - 20);
  });

  test('several chunks count as one of the same work, not of summed lengths', () => {
    // 32 + 32 tokens without context: 2 * 32^2 / 2 pairs = one chunk of sqrt(2 * 1024) tokens.
    expect(
      model.attentionNs(
        1,
        batch([
          [32, 0],
          [32, 0],
        ]),
      ),
    ).toBe(Math.round(50 + Math.sqrt(2048)));
    // With context the tokens stay: pairs 2 * 20 * (30 + 10), so c = 1600 / 40 - 20.
    expect(
      model.attentionNs(
        1,
        batch([
          [20, 30],
          [20, 30],
        ]),
      ),
    ).toBe(50 + 40 + 2);
  });

  test('nothing to compute takes no time', () => {
    expect(model.attentionNs(1, batch([]))).toBe(0);
  });
});

describe('unequal decode contexts', () => {
  const skew = (mean: number, longest: number, measured: number): ProfileRow => ({
    ...attention(0, 0, 4, 25, measured),
    kind: 'skew',
    meanDurationNs: mean,
    maxDurationNs: longest,
  });
  const rows = [attention(0, 0, 4, 0, 100), attention(0, 0, 4, 100, 500), attention(0, 0, 1, 0, 1)];

  test('a pooled share of the way to the longest', () => {
    // Twice a quarter of the way.
    const model = modelOf([...rows, skew(200, 600, 300), skew(100, 200, 125)]);
    // Mean 50: 300 ns; all at 100: 500 ns.
    expect(model.attentionNs(1, batch([], [0, 100, 100, 0]))).toBe(300 + 50);
    expect(model.attentionNs(1, batch([], [50, 50, 50, 50]))).toBe(300);
  });

  test('none without measurements', () => {
    expect(modelOf(rows).attentionNs(1, batch([], [0, 100, 100, 0]))).toBe(300);
  });
});

test('MoE: few tokens cannot reach many experts; the row continues', () => {
  const moe = (tokens: number, activatedExperts: number, durationNs: number): ProfileRow => ({
    kind: 'moe',
    operator: 'moe',
    tp: 1,
    tokens,
    activatedExperts,
    durationNs,
  });
  const model = modelOf([moe(1, 8, 80), moe(8, 8, 94), moe(8, 16, 160), moe(16, 16, 176)]);
  expect(model.moeNs(1, 8, 12)).toBe(127);
  expect(model.moeNs(2, 4, 8)).toBe(model.moeNs(1, 4, 8));
});
