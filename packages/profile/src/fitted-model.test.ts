/** Goal: a fitted profile whose lists do not belong together is refused with its place. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fittedFormat, fittedTables, parseFitted } from './fitted-model.js';

const fitted = (at: readonly number[], rows: readonly number[], ns: readonly number[][]) => ({
  format: fittedFormat,
  units: 'ns',
  info: { hardware: 'A', model: 'b/c', dtype: 'bf16', source: 'test', measurement: 'kernel' },
  tp: {
    1: {
      dense: { o_proj: { at, ns: at.map(() => 5) } },
      perSequence: {},
      attention: { decode: { rows, columns: [1, 2], ns } },
      errors: {},
    },
  },
});

test('either a table or a refusal that names the place', () => {
  const keys = fc.array(fc.constantFrom(1, 2, 4, 8, -1, 0.5), { minLength: 1, maxLength: 3 });
  const values = fc.array(fc.array(fc.constant(7), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 3,
  });
  const ascends = (list: readonly number[]): boolean =>
    list.every((key, i) => i === 0 || key > list[i - 1]);
  fc.assert(
    fc.property(keys, keys, values, (at, rows, ns) => {
      const good =
        ascends(at) &&
        at.every((key) => key >= 0 && Number.isInteger(key)) &&
        ascends(rows) &&
        ns.length === rows.length &&
        ns.every((row) => row.length === 2);
      const compile = () => fittedTables(parseFitted(fitted(at, rows, ns), 'a.json')).compile(1);
      if (good) expect(compile().dense.get('o_proj')?.at(at[0])).toBe(5);
      else expect(compile).toThrow(/^a\.json: tp\.1\.(dense\.o_proj|attention\.decode)/);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('contexts beyond a fitted mix add up, and are not multiplied to times below 0', () => {
  const grid = (ns: readonly (readonly number[])[]) => ({ rows: [1, 100], columns: [0, 1000], ns });
  const profile = fitted([1], [1], [[7, 7]]);
  const attention = {
    // Alone: 1 ns a key each.
    decode: grid([
      [1000, 2000],
      [1000, 101_000],
    ]),
    prefill: grid([
      [1000, 2000],
      [2000, 102_000],
    ]),
    // Together at most 210 us; where both grow, the second term takes off again.
    mixed: {
      chunk: [
        grid([
          [4000, 6000],
          [8000, 180_000],
        ]),
        grid([
          [0, 1],
          [0, 100],
        ]),
      ],
      decode: [
        grid([
          [1, 1.2],
          [1, 1.5],
        ]),
        grid([
          [0, -100],
          [0, -600],
        ]),
      ],
    },
  };
  const tp = { 1: { ...profile.tp[1], attention } };
  const known = fittedTables(parseFitted({ ...profile, tp }, 'a.json')).compile(1).attention;
  if (known === undefined) throw new Error('no attention');
  expect(known.at(100, 1000, 100, 1000)).toBeCloseTo(180_000 * 1.5 - 60_000, 6);
  expect(known.at(100, 1001, 100, 1001) / known.at(100, 1000, 100, 1000)).toBeCloseTo(1, 2);
  const length = fc.integer({ min: 0, max: 131_072 });
  const size = fc.integer({ min: 1, max: 100 });
  fc.assert(
    fc.property(size, length, size, length, (q, c, n, k) => {
      const inside = known.at(q, Math.min(c, 1000), n, Math.min(k, 1000));
      expect(known.at(q, c, n, k)).toBeGreaterThanOrEqual(inside);
    }),
    { seed: 1, numRuns: 2000 },
  );
});
