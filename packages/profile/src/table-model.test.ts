/** Goal: lookups of measured tables by hand-worked numbers. Method: tables of a few points. */
import { describe, expect, test } from 'vitest';
import { exampleInfo } from './example-info.test-helper.js';
import type { AttentionBatch } from './latency-model.js';
import { type ProfileRow, ProfileTableBuilder } from './profile-table.js';
import { modelOfTable, type TableModel } from './table-model.js';

function modelOf(rows: readonly ProfileRow[]): TableModel {
  const builder = new ProfileTableBuilder();
  for (const row of rows) builder.add(row);
  return modelOfTable(builder.build(exampleInfo));
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
    decodeContexts,
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

test('rows of a kind that an operator is never looked up by do not count as that operator', () => {
  const model = modelOf([
    { ...dense(1, 100), operator: 'lm_head' },
    { ...dense(1, 100), operator: 'attention' },
    dense(1, 100),
  ]);
  expect(['lm_head', 'attention', 'qkv_proj'].map((name) => model.has(name, 1))).toEqual([
    false,
    false,
    true,
  ]);
});

describe('attention', () => {
  // Times that the shape can express exactly, so that lookups between points are exact too:
  // decodes alone 5000 + 100 n + 10 n k, a chunk alone 4000 + 10 q + q (c + q / 2) + 20 c, a mix
  // their sum and 2 q n.
  const decodeNs = (n: number, k: number): number => 5000 + 100 * n + 10 * n * k;
  const prefillNs = (q: number, c: number): number => 4000 + 10 * q + q * (c + q / 2) + 20 * c;
  const mixedNs = (q: number, c: number, n: number, k: number): number =>
    prefillNs(q, c) + decodeNs(n, k) + 2 * q * n;
  const rows: ProfileRow[] = [];
  for (const n of [1, 4, 8]) {
    for (const k of [10, 100]) rows.push(attention(0, 0, n, k, decodeNs(n, k)));
  }
  for (const q of [64, 256]) {
    for (const c of [0, 100]) {
      rows.push(attention(q, c, 0, 0, prefillNs(q, c)));
      for (const n of [1, 4]) {
        for (const k of [10, 100]) {
          // One ragged hole, to be continued from its neighbours.
          if (q === 256 && c === 100 && n === 4 && k === 100) continue;
          rows.push(attention(q, c, n, k, mixedNs(q, c, n, k)));
        }
      }
    }
  }
  const model = modelOf(rows);
  const near = (ns: number, expected: number): void =>
    expect(Math.abs(ns / expected - 1)).toBeLessThan(0.002);

  test('decodes alone: count and mean context', () => {
    near(model.attentionNs(1, batch([], [55, 55])), decodeNs(2, 55));
    near(model.attentionNs(1, batch([], [1000, 1000])), decodeNs(2, 1000));
    expect(model.counters.extrapolated).toBe(1);
  });

  test('one chunk alone: tokens and context', () => {
    near(model.attentionNs(1, batch([[160, 50]])), prefillNs(160, 50));
  });

  test('mixed batches; 8 decodes were measured alone only', () => {
    near(model.attentionNs(1, batch([[64, 0]], [10, 10, 10, 10])), mixedNs(64, 0, 4, 10));
    near(model.attentionNs(1, batch([[160, 70]], [60, 60])), mixedNs(160, 70, 2, 60));
    const eight = mixedNs(64, 0, 4, 10) + decodeNs(8, 10) - decodeNs(4, 10);
    near(model.attentionNs(1, batch([[64, 0]], new Array(8).fill(10))), eight);
    near(
      model.attentionNs(1, batch([[256, 100]], [100, 100, 100, 100])),
      mixedNs(256, 100, 4, 100),
    );
  });

  test('several chunks count as one of the same work, not of summed lengths', () => {
    // 128 + 128 tokens without context: 2 * 128^2 / 2 pairs = one chunk of sqrt(2 * 128^2) tokens.
    near(
      model.attentionNs(
        1,
        batch([
          [128, 0],
          [128, 0],
        ]),
      ),
      prefillNs(Math.sqrt(2 * 128 ** 2), 0),
    );
    // With context the tokens stay: pairs 2 * 80 * (120 + 40), so c = 25600 / 160 - 80.
    near(
      model.attentionNs(
        1,
        batch([
          [80, 120],
          [80, 120],
        ]),
      ),
      prefillNs(160, 80),
    );
    // Longer than any measured chunk: 256 tokens with the pairs of 512, c = 131072 / 256 - 128.
    near(model.attentionNs(1, batch([[512, 0]])), prefillNs(256, 384));
  });

  test('chunks shorter or longer than was measured are extrapolated; several are in between', () => {
    const found = (prefills: readonly (readonly [number, number])[]) => {
      const before = { ...model.counters };
      model.attentionNs(1, batch(prefills));
      const kinds = ['exact', 'interpolated', 'extrapolated'] as const;
      return kinds.filter((kind) => model.counters[kind] > before[kind]);
    };
    expect(found([[64, 0]])).toEqual(['exact']);
    expect(found([[5, 0]])).toEqual(['extrapolated']);
    expect(found([[300, 0]])).toEqual(['extrapolated']);
    expect(
      found([
        [128, 0],
        [128, 0],
      ]),
    ).toEqual(['interpolated']);
    expect(
      found([
        [200, 0],
        [200, 0],
      ]),
    ).toEqual(['extrapolated']);
  });

  test('nothing to compute takes no time', () => {
    expect(model.attentionNs(1, batch([]))).toBe(0);
  });

  test('a part that was not measured is an error, not zero', () => {
    const chunksOnly = modelOf(rows.filter((row) => row.sequences === 0));
    expect(() => chunksOnly.attentionNs(1, batch([], [10]))).toThrow(/attention of decodes/);
  });
});

describe('unequal decode contexts', () => {
  /** One of four decodes at 100 tokens. */
  const skew = (mean: number, longest: number, measured: number): ProfileRow => ({
    ...attention(0, 0, 4, 25, measured),
    kind: 'skew',
    decodeContextMin: 0,
    decodeContextMax: 100,
    meanDurationNs: mean,
    maxDurationNs: longest,
  });
  // 100 us and 1 us per decode and token of context.
  const rows = [1, 4].flatMap((n) =>
    [0, 100].map((k) => attention(0, 0, n, k, 100_000 + 1000 * n * k)),
  );

  test('the wait for the longest, as measured at that decode count', () => {
    // Twice two thirds of the way from mean to longest.
    const model = modelOf([...rows, skew(300, 600, 500), skew(150, 300, 250)]);
    expect(model.attentionNs(1, batch([], [0, 0, 0, 100]))).toBeCloseTo(400_000, -2);
    // Mean 50: 300 us, and 500 us at the longest.
    expect(model.attentionNs(1, batch([], [0, 100, 100, 0]))).toBeCloseTo(433_333, -2);
    expect(model.attentionNs(1, batch([], [50, 50, 50, 50]))).toBeCloseTo(300_000, -2);
  });

  test('a longest context beyond the table counts as extrapolated', () => {
    const model = modelOf([...rows, skew(300, 600, 500)]);
    model.attentionNs(1, batch([], [0, 0, 0, 100]));
    expect(model.counters.extrapolated).toBe(0);
    model.attentionNs(1, batch([], [0, 0, 0, 101]));
    expect(model.counters.extrapolated).toBe(1);
  });

  test('none without measurements', () => {
    expect(modelOf(rows).attentionNs(1, batch([], [0, 100, 100, 0]))).toBeCloseTo(300_000, -2);
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
