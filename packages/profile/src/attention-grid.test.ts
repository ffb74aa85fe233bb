/**
 * Goal: lookups of any table, however odd, are times that can be: finite, never below 1 ns, exact at measured
 * points. Method: random tables, and batches of a known law measured off any grid.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleInfo } from './example-info.test-helper.js';
import type { AttentionBatch } from './latency-model.js';
import { type ProfileRow, ProfileTableBuilder } from './profile-table.js';
import { fillsGrid } from './scattered-times.js';
import { modelOfTable, type TableModel } from './table-model.js';

/** chunk, context, decodes, decode context; ns. */
type Point = readonly [q: number, c: number, n: number, k: number, durationNs: number];

function modelOf(points: readonly Point[]): TableModel {
  const builder = new ProfileTableBuilder();
  for (const [tokens, contextTokens, sequences, decodeContextTokens, durationNs] of points) {
    const keys = { tokens, contextTokens, sequences, decodeContextTokens };
    const row: ProfileRow = {
      kind: 'attention',
      operator: 'attention',
      tp: 1,
      durationNs,
      ...keys,
    };
    builder.add(row);
  }
  return modelOfTable(builder.build(exampleInfo));
}

function batch([q, c, n, k]: readonly number[]): AttentionBatch {
  const isChunk = q > 0;
  return {
    prefillCount: isChunk ? 1 : 0,
    prefillNewTokens: isChunk ? [q] : [],
    prefillContextTokens: isChunk ? [c] : [],
    decodeCount: n,
    decodeContextSum: n * k,
  };
}

const key = fc.oneof(
  fc.integer({ min: 1, max: 20 }),
  fc.integer({ min: 1, max: 5000 }),
  fc.constantFrom(16, 128, 2048, 131_072),
);
const context = fc.oneof(fc.constant(0), key);
const none = fc.constant(0);
const time = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 10_000_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 1e12) },
);
const kinds = [
  ['decodes', fc.tuple(none, none, key, key)],
  ['one chunk', fc.tuple(key, context, none, none)],
  ['mixed', fc.tuple(key, context, key, key)],
] as const;
const alone: readonly Point[] = [
  [1, 0, 0, 0, 5000],
  [200_000, 0, 0, 0, 9000],
  [0, 0, 1, 16, 4000],
  [0, 0, 64, 16, 3900],
];

describe.each(kinds)('any table: %s', (name, at) => {
  const others = name === 'mixed' ? alone : [];
  const points = fc.array(fc.tuple(at, time), { minLength: 1, maxLength: 12 });

  test('lookups are whole numbers of ns, at least 1', () => {
    fc.assert(
      fc.property(points, at, (list, wanted) => {
        const model = modelOf([...list.map(([keys, ns]) => [...keys, ns] as const), ...others]);
        const timeNs = model.attentionNs(1, batch(wanted));
        expect(Number.isInteger(timeNs) && timeNs >= 1).toBe(true);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  test('measured points are found as they are, and count as exact', () => {
    const distinct = fc.uniqueArray(fc.tuple(at, fc.integer({ min: 1, max: 1e7 })), {
      minLength: 1,
      maxLength: 10,
      selector: ([keys]) => keys.join(),
    });
    fc.assert(
      fc.property(distinct, (list) => {
        const model = modelOf([...list.map(([keys, ns]) => [...keys, ns] as const), ...others]);
        for (const [keys, ns] of list) {
          expect(Math.abs(model.attentionNs(1, batch(keys)) - ns)).toBeLessThanOrEqual(1);
        }
        expect(model.counters.exact).toBe(list.length);
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});

test('decodes whose times grow with count and context do so in between, and beyond either end', () => {
  const counts = [1, 4, 16, 64];
  const contexts = [16, 500, 4000];
  const growth = fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 12, maxLength: 12 });
  fc.assert(
    fc.property(growth, key, key, key, (steps, n, k, more) => {
      const times = steps.slice();
      const points = counts.flatMap((count, row) =>
        contexts.map((at, column) => {
          const i = row * contexts.length + column;
          const before = column === 0 ? 1000 : times[i - 1];
          const above = row === 0 ? 0 : times[i - contexts.length];
          times[i] += Math.max(before, above);
          return [0, 0, count, at, times[i]] as const;
        }),
      );
      const model = modelOf(points);
      // Beyond both, slopes of unlike rows may cross.
      const [insideN, insideK] = [Math.min(n, 64), Math.min(k, 4000)];
      const at = (count: number, length: number): number =>
        model.attentionNs(1, batch([0, 0, count, length]));
      expect(at(n + more, insideK)).toBeGreaterThanOrEqual(at(n, insideK));
      expect(at(insideN, k + more)).toBeGreaterThanOrEqual(at(insideN, k));
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test('a measured chunk whose time grows with its context does so in between and beyond', () => {
  const contexts = [0, 100, 2000, 9000];
  const growth = fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(growth, fc.constantFrom(64, 1024), context, key, (steps, q, c, more) => {
      const points = [64, 1024].flatMap((chunk, row) => {
        let ns = 5000;
        return contexts.map((at, column) => {
          ns += steps[row * contexts.length + column];
          return [chunk, at, 0, 0, ns] as const;
        });
      });
      const model = modelOf(points);
      const ns = model.attentionNs(1, batch([q, c, 0, 0]));
      expect(model.attentionNs(1, batch([q, c + more, 0, 0]))).toBeGreaterThanOrEqual(ns);
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test('of equal batches the mean counts, in a grid and without one', () => {
  for (const rest of [[], [[0, 0, 3, 700, 9000] as const, [0, 0, 9, 90, 8000] as const]]) {
    const model = modelOf([[0, 0, 2, 100, 4000], [0, 0, 2, 100, 7000], ...rest]);
    expect(model.attentionNs(1, batch([0, 0, 2, 100]))).toBe(5500);
  }
});

test('decodes of one count only tell what others take by the work; more never take less', () => {
  // 5 us and 10 ns a key.
  const one = modelOf([100, 1000, 4000].map((k) => [0, 0, 4, k, 5000 + 40 * k] as const));
  const twice = one.attentionNs(1, batch([0, 0, 8, 2000]));
  expect(twice / (5000 + 8 * 2000 * 10)).toBeCloseTo(1, 1);
  fc.assert(
    fc.property(key, key, key, (n, k, more) => {
      const less = one.attentionNs(1, batch([0, 0, n, k]));
      expect(one.attentionNs(1, batch([0, 0, n + more, k]))).toBeGreaterThanOrEqual(less);
      expect(one.attentionNs(1, batch([0, 0, n, k + more]))).toBeGreaterThanOrEqual(less);
    }),
    { seed: 1, numRuns: 500 },
  );
});

describe('batches that form no grid', () => {
  const law = (q: number, c: number, n: number, k: number): number =>
    8000 + 20 * q + 0.002 * q * (c + q / 2) + n * (100 + 4 * k) + 0.3 * q * n;
  // As steps of a run: nothing twice.
  const spread = (i: number, most: number): number => Math.round(most ** ((i * 0.618) % 1));
  const points: Point[] = [];
  for (let i = 1; i <= 300; i++) {
    const keys = [spread(i, 2000), spread(3 * i, 9000), spread(5 * i, 250), spread(7 * i, 9000)];
    const [q, c, n, k] =
      i % 3 === 0 ? [0, 0, keys[2], keys[3]] : i % 3 === 1 ? keys : [...keys.slice(0, 2), 0, 0];
    points.push([q, c, n, k, Math.round(law(q, c, n, k))]);
  }
  const model = modelOf(points);

  test('the law that they were measured of is found between them', () => {
    const errors = [
      [0, 0, 33, 777],
      [0, 0, 120, 4000],
      [500, 900, 0, 0],
      [1500, 0, 0, 0],
      [300, 100, 20, 1000],
      [1200, 3000, 60, 3000],
    ].map(([q, c, n, k]) => model.attentionNs(1, batch([q, c, n, k])) / law(q, c, n, k) - 1);
    for (const error of errors) expect(Math.abs(error)).toBeLessThan(0.15);
    expect(model.counters.interpolated).toBeGreaterThanOrEqual(errors.length - 1);
  });

  test('far from all of them counts as extrapolated', () => {
    const before = model.counters.extrapolated;
    const far = model.attentionNs(1, batch([0, 0, 250, 131_072]));
    expect(far / law(0, 0, 250, 131_072)).toBeCloseTo(1, 0);
    expect(model.counters.extrapolated).toBe(before + 1);
  });

  test('are told from grids, ragged ones too', () => {
    const columns = (rows: readonly (readonly number[])[]): Float64Array[] =>
      rows[0].map((_, axis) => Float64Array.from(rows, (row) => row[axis]));
    const grid = [1, 2, 4, 8].flatMap((x) => [1, 10, 100].map((y) => [x, y]));
    expect(fillsGrid(columns(grid))).toBe(true);
    expect(fillsGrid(columns(grid.filter(([x, y]) => x * y < 400)))).toBe(true);
    expect(
      fillsGrid(
        columns([
          [5, 1],
          [5, 2],
          [5, 9],
        ]),
      ),
    ).toBe(true);
    expect(
      fillsGrid(
        columns([
          [1, 1],
          [2, 2],
          [3, 9],
        ]),
      ),
    ).toBe(false);
    // 100 keys on each of four axes: 10^8 places.
    const wide = Array.from({ length: 2000 }, (_, i) => [i % 100, i % 99, i % 98, i % 97]);
    expect(fillsGrid(columns(wide))).toBe(false);
  });
});
