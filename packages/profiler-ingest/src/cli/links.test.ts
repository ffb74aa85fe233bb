/** Goal: Vidur's measured collectives become tables and links. The real files, and spot values. */
import { existsSync } from 'node:fs';
import { readText } from '@astrolabe/base/cli';
import { parseSizeTable, SizeCurve } from '@astrolabe/config';
import { CollectiveTable } from '@astrolabe/profile';
import { describe, expect, test } from 'vitest';
import { fitLink, linkShapes } from '../fit/fit-links.js';
import { importCsvFiles } from '../importers/import-csv.js';
import { curvesOf, sizeTableOf } from '../links.js';

const network = new URL('../../../../../shared/refdata/vidur/profiling/network', import.meta.url)
  .pathname;

function curves(...files: string[]) {
  const inputs = files.map((file) => ({ at: file, text: readText(`${network}/${file}.csv.gz`) }));
  const names = { hardware: 'any', model: 'any', dtype: 'any' };
  const reading = { tp: 1, shape: undefined, clockGHz: undefined };
  return new CollectiveTable(importCsvFiles(inputs, names, reading)).curves;
}

describe.skipIf(!existsSync(network))("Vidur's collectives (needs ../shared)", () => {
  const machines = ['a100_dgx', 'a100_pairwise_nvlink', 'h100_dgx', 'h100_pairwise_nvlink'];

  test.each(machines)('%s: the table is what was measured', (machine) => {
    const measured = curves(`${machine}/all_reduce`, `${machine}/send_recv`);
    const table = parseSizeTable(
      JSON.parse(JSON.stringify(sizeTableOf({ curves: measured, source: 'v' }, false))),
      't',
    );
    expect(table.curves).toHaveLength(measured.length);
    table.curves.forEach((curve, i) => {
      const { sizesBytes, timesNs } = measured[i].curve;
      const read = new SizeCurve(curve.size_bytes, curve.duration_ns);
      sizesBytes.forEach((size, k) => {
        expect(read.timeNs(size)).toBe(Math.round(timesNs[k]));
      });
    });
  });

  test('a row of the file, mean over its ranks, in ns', () => {
    const text = readText(`${network}/a100_dgx/all_reduce.csv.gz`);
    const lines = text.trim().split('\n');
    const header = lines[0].split(',');
    const column = (row: string[], name: string): number => Number(row[header.indexOf(name)]);
    const rows = lines
      .slice(1)
      .map((line) => line.split(','))
      .filter(
        (row) =>
          column(row, 'num_workers') === 4 &&
          column(row, 'devices_per_node') === 4 &&
          column(row, 'size') === 1_048_576,
      );
    const times = rows.map((row) => column(row, 'time_stats.all_reduce.median') * 1e6);
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    const found = curves('a100_dgx/all_reduce').find(
      (one) => one.workers === 4 && one.devicesPerNode === 4,
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(found?.curve.timeNs(1_048_576)).toBe(Math.round(mean));
  });

  test('thin tables are small and stay near the measurement where it is not noise', () => {
    const measured = curves('h100_dgx/all_reduce');
    const table = sizeTableOf({ curves: measured, source: 'v' }, true);
    const thin = curvesOf(table);
    measured.forEach(({ curve }, i) => {
      expect(thin[i].curve.sizesBytes.length).toBeLessThanOrEqual(16);
      const large = [...curve.sizesBytes].filter((size) => size > 4e6);
      const off = large.map((size) =>
        Math.abs(thin[i].curve.timeNs(size) / curve.timeNs(size) - 1),
      );
      expect(off.reduce((a, b) => a + b, 0) / off.length).toBeLessThan(0.08);
    });
  });

  test('bandwidths are those of NVLink, and small messages are no line', () => {
    const [pair] = curves('a100_dgx/all_reduce').filter(
      (one) => one.workers === 2 && one.devicesPerNode === 2,
    );
    const fit = fitLink(pair, linkShapes('all_reduce', 2)[0], 2039);
    // 300 GB/s of 10^9 a direction by the data sheet; collectives get about half.
    expect(fit.bandwidthGBps).toBeGreaterThan(100);
    expect(fit.bandwidthGBps).toBeLessThan(280);
    const off = fit.decades.filter(({ fits }) => !fits).map(({ exponent }) => exponent);
    expect(off).toContain(4);
    expect(off).not.toContain(7);
    const [apart] = curves('a100_dgx/send_recv').filter((one) => one.devicesPerNode === 1);
    const between = fitLink(apart, linkShapes('send_recv', 2)[0], 0);
    expect(between.bandwidthGBps).toBeLessThan(12);
  });
});

test('a group in one machine with room for more fills it', () => {
  const text = [
    'operator,kind,sequences,size_bytes,devices_per_node,latency_us',
    'all_reduce,collective,4,1024,8,20',
    'all_reduce,collective,4,65536,8,24',
  ].join('\n');
  const names = { hardware: 'any', model: 'any', dtype: 'any' };
  const reading = { tp: 1, shape: undefined, clockGHz: undefined };
  const table = importCsvFiles([{ at: 'f.csv', text: `${text}\n` }], names, reading);
  const measured = new CollectiveTable(table).curves;
  const sizes = parseSizeTable(sizeTableOf({ curves: measured, source: 's' }, false), 't');
  expect(sizes.curves).toMatchObject([{ participants: 4, devices_per_node: 4 }]);
});
