/** Result tables keep integers beyond what 32 bits hold, and say what is missing. */
import { DataType, tableFromIPC } from 'apache-arrow';
import { expect, test } from 'vitest';
import type { RequestResult } from '../metrics.js';
import { toArrow } from './arrow-table.js';
import { requestColumns, requestColumnsOf, toCsv } from './table.js';

const row = {
  ...Object.fromEntries(requestColumns.map((column) => [column, 3])),
  request: 7,
  arrivalNs: 2 ** 53 - 1,
  tpotNs: 2,
  status: 'finished',
};

test('Arrow: integers are int64, means float64 whatever their values, missing ones null', () => {
  const rows = [row, { ...row, firstTokenNs: null, tpotNs: null, itlMeanNs: null }];
  const table = tableFromIPC(toArrow(rows, requestColumns));
  const typeOf = (name: string) => table.getChild(name)?.type;
  for (const name of ['request', 'instance', 'arrival_ns', 'first_token_ns', 'ttft_ns']) {
    expect(DataType.isInt(typeOf(name))).toBe(true);
  }
  for (const name of ['tpot_ns', 'itl_mean_ns']) {
    expect(DataType.isFloat(typeOf(name))).toBe(true);
    expect(table.getChild(name)?.get(1)).toBeNull();
  }
  expect(table.getChild('arrival_ns')?.get(0)).toBe(2n ** 53n - 1n);
  expect(table.getChild('first_token_ns')?.get(1)).toBeNull();
  expect(table.getChild('status')?.get(0)).toBe('finished');
});

test('Arrow: ids are text where any of them is', () => {
  const table = tableFromIPC(toArrow([row, { ...row, request: 'b' }], requestColumns));
  expect([...(table.getChild('request') ?? [])]).toEqual(['7', 'b']);
  expect(tableFromIPC(toArrow([], requestColumns)).numRows).toBe(0);
});

test('classes are a column only where requests have them', () => {
  const plain = row as unknown as RequestResult;
  expect(requestColumnsOf([plain])).toEqual(requestColumns);
  const rows = [
    { ...plain, sloClass: 'chat' },
    { ...plain, sloClass: null },
  ];
  const columns = requestColumnsOf(rows);
  const [head, first, second] = toCsv(rows, columns).split('\n');
  expect(head).toMatch(/,status,slo_class$/);
  expect([first, second].map((line) => line.split(',').at(-1))).toEqual(['chat', '']);
  const table = tableFromIPC(toArrow(rows, columns));
  expect([...(table.getChild('slo_class') ?? [])]).toEqual(['chat', null]);
});
