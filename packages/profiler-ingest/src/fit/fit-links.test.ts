/** Links fitted to curves that are known: the figures come back, and what no line fits is told. */
import { SizeCurve } from '@astrolabe/config';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { linkLines, sizeTableOf } from '../links.js';
import { fitLink, type LinkShape, linkShapes, thinCurve } from './fit-links.js';

const gib = 2 ** 30;
const sizes = Array.from({ length: 15 }, (_, i) => 1024 * 2 ** i);

function curveOf(operator: string, workers: number, timeOf: (size: number) => number, at = sizes) {
  return { operator, workers, devicesPerNode: workers, curve: new SizeCurve(at, at.map(timeOf)) };
}

/** What the shape takes on a link, worked out the other way round. */
function timeOn({ rounds, share, endpoints, reduced }: LinkShape, memoryGBps: number) {
  const [latencyNs, bandwidth] = [3000, (100 * gib) / 1e9];
  return (size: number): number =>
    endpoints * 10 +
    rounds * (latencyNs + (share * size) / bandwidth) +
    (memoryGBps > 0 ? (3 * reduced * size) / memoryGBps : 0);
}

describe('fitLink', () => {
  test('property: gives back the link of any collective, reductions apart', () => {
    const kinds = ['all_reduce', 'all_gather', 'reduce_scatter', 'all_to_all'];
    const memory = fc.constantFrom(0, 1000, 3000);
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.integer({ min: 2, max: 16 }),
        memory,
        (kind, n, of) => {
          for (const shape of linkShapes(kind, n)) {
            const fit = fitLink(curveOf(kind, n, timeOn(shape, of)), shape, of);
            expect(fit.latencyNs).toBeCloseTo(3000, 3);
            expect(fit.bandwidthGBps).toBeCloseTo(100, 5);
            expect(fit.decades.every(({ fits }) => fits)).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('counts every doubling alike, however many sizes it has', () => {
    const [shape] = linkShapes('send_recv', 2);
    const time = (size: number): number => 10_000 + size / 100 + (size > 5e6 ? 20_000 : 0);
    const few = fitLink(curveOf('send_recv', 2, time), shape, 0);
    const crowd = Array.from({ length: 400 }, (_, i) => 8_400_000 + 20_000 * i);
    const dense = [...sizes.filter((size) => size < 8e6), ...crowd];
    const many = fitLink(curveOf('send_recv', 2, time, dense), shape, 0);
    expect(Math.abs(many.latencyNs / few.latencyNs - 1)).toBeLessThan(0.1);
  });

  it('never gives a latency or a bandwidth below zero', () => {
    const [shape] = linkShapes('send_recv', 2);
    const steep = fitLink(
      curveOf('send_recv', 2, (size) => size ** 1.3),
      shape,
      0,
    );
    expect(steep.latencyNs).toBe(0);
    expect(steep.bandwidthGBps).toBeGreaterThan(0);
    const flat = fitLink(
      curveOf('send_recv', 2, (size) => 1e6 / Math.log(size)),
      shape,
      0,
    );
    expect(flat.bandwidthGBps).toBe(Number.POSITIVE_INFINITY);
    expect(flat.latencyNs).toBeGreaterThan(0);
  });

  it('says in which decades a floor is no line', () => {
    // 50 us up to 64 KiB, then 1 byte per ns: the line must miss the knee.
    const curve = curveOf('send_recv', 2, (size) => 50_000 + 3 * Math.max(0, size - 65_536));
    const [shape] = linkShapes('send_recv', 2);
    const off = fitLink(curve, shape, 0).decades.filter(({ fits }) => !fits);
    expect(off.length).toBeGreaterThan(0);
    const text = linkLines([curve], 0).join('\n');
    for (const { exponent } of off) expect(text).toContain(`1e${exponent} to 1e${exponent + 1}`);
    expect(text).toMatch(/one line does not fit .*: use the table there \(measured_links\)/);
    const line = linkLines([curveOf('send_recv', 2, (size) => 3000 + size)], 0).join('\n');
    expect(line).toContain('"link_latency": 3000, "link_bw": 0.9313   mean error 0.0 %');
    expect(line).not.toContain('does not fit');
  });
});

describe('sizeTableOf', () => {
  const reduce = curveOf('all_reduce', 4, (size) => 1000 + size / 2);

  it('keeps every size, or the medians of each doubling', () => {
    const at = [1024, 1100, 1500, 4096, 5000];
    const noisy = curveOf('all_reduce', 4, (size) => (size === 1100 ? 99_999 : size), at);
    expect(thinCurve(noisy.curve)).toEqual([
      [1100, 1500],
      [4548, 4548],
    ]);
    const all = sizeTableOf({ curves: [reduce], source: 'a run' }, false);
    expect(all).toMatchObject({
      source: 'a run',
      curves: [{ size_bytes: sizes, participants: 4 }],
    });
    const thin = sizeTableOf({ curves: [noisy], source: 'a run' }, true);
    expect(thin.source).toBe('a run; medians per doubling of size');
    expect(thin.curves[0].duration_ns).toEqual([1500, 4548]);
  });

  it('states the scatter about its medians, where there is any to see', () => {
    expect(sizeTableOf({ curves: [reduce], source: 'x' }, true).error_pct).toBeUndefined();
    const at = Array.from({ length: 40 }, (_, i) => 1024 + 20 * i);
    // All of one doubling: 38 sizes at the median's time, two twice as long: 5 %, so none of 90 %.
    const few = curveOf('send_recv', 2, (size) => (size > 1770 ? 2000 : 1000), [...at, 4096]);
    expect(sizeTableOf({ curves: [few], source: 'x' }, false).error_pct).toBeLessThanOrEqual(25);
    const many = curveOf('send_recv', 2, (size) => (size > 1600 ? 2000 : 1000), [...at, 4096]);
    expect(sizeTableOf({ curves: [many], source: 'x' }, false).error_pct).toBeGreaterThan(70);
    const told = { curves: [many], source: 'x', errorPct: 7 };
    expect(sizeTableOf(told, false).error_pct).toBe(7);
  });

  it('leaves out what the machine does not run, and refuses when nothing is left', () => {
    const other = curveOf('broadcast', 4, (size) => size);
    expect(sizeTableOf({ curves: [other, reduce], source: 'x' }, false).curves).toHaveLength(1);
    expect(linkLines([other], 0)).toContain('  not a collective of the machine');
    expect(() => sizeTableOf({ curves: [other], source: 'x' }, false)).toThrow(
      /no collective of all_reduce, /,
    );
    const one = curveOf('all_reduce', 2, () => 1, [4096]);
    expect(() => sizeTableOf({ curves: [one], source: 'x' }, false)).toThrow(
      'all_reduce of 2, 2 a node has one size, a table needs two',
    );
  });
});
