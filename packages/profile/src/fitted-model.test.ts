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
