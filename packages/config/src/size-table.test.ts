/** Size tables: times at and between their points, and what a damaged file is told. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { describeCurve, findCurve, parseSizeTable, SizeCurve } from './size-table.js';

const sizes = [1024, 2048, 65_536, 131_072];
const times = [10_000, 10_000, 20_000, 40_000];
const curve = {
  collective: 'all_reduce',
  participants: 4,
  size_bytes: sizes,
  duration_ns: times,
};

describe('SizeCurve', () => {
  const measured = new SizeCurve(sizes, times);

  it('keeps the floor of small messages', () => {
    expect(measured.timeNs(1)).toBe(10_000);
    expect(measured.timeNs(1500)).toBe(10_000);
  });

  it('is linear between sizes', () => {
    expect(measured.timeNs((65_536 + 131_072) / 2)).toBe(30_000);
  });

  it('goes on with the bandwidth of the last two sizes', () => {
    expect(measured.timeNs(262_144)).toBe(80_000);
    expect(measured.isBeyond(131_072)).toBe(false);
    expect(measured.isBeyond(131_073)).toBe(true);
  });

  it('goes on with the upper half where the last two sizes differ by noise', () => {
    const noisy = new SizeCurve([1000, 5000, 9900, 10_000], [1000, 5000, 10_000, 9990]);
    // From 5000 bytes on: 4990 ns for 5000 bytes.
    expect(noisy.timeNs(20_000)).toBe(9990 + 9980);
  });

  test('property: equal at its points, monotone where they are, never below its floor', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e6 }), fc.nat(1e6)), {
      minLength: 2,
      maxLength: 20,
    });
    const asked = fc.array(fc.integer({ min: 1, max: 5e7 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(steps, asked, (rows, sizesAsked) => {
        const at: number[] = [];
        const ns: number[] = [];
        for (const [size, time] of rows) {
          at.push((at.at(-1) ?? 0) + size);
          ns.push((ns.at(-1) ?? 1) + time);
        }
        const any = new SizeCurve(at, ns);
        at.forEach((size, i) => {
          expect(any.timeNs(size)).toBe(ns[i]);
        });
        const found = sizesAsked.sort((a, b) => a - b).map((size) => any.timeNs(size));
        found.forEach((time, i) => {
          expect(time).toBeGreaterThanOrEqual(i === 0 ? ns[0] : found[i - 1]);
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('parseSizeTable', () => {
  const parse = (...curves: object[]) => parseSizeTable({ source: 'test', curves }, 't.json');

  it('finds a curve by collective, participants and placement', () => {
    const spread = { ...curve, devices_per_node: 2 };
    const table = parse(curve, spread);
    expect(findCurve(table, 'all_reduce', 4, 4)).toBe(0);
    expect(findCurve(table, 'all_reduce', 4, 2)).toBe(1);
    expect(findCurve(table, 'all_reduce', 2, 2)).toBe(-1);
    expect(findCurve(table, 'all_gather', 4, 4)).toBe(-1);
    expect(table.curves.map(describeCurve)).toEqual([
      'all_reduce of 4 in one node',
      'all_reduce of 4, 2 a node',
    ]);
  });

  it.each<[string, object, RegExp]>([
    [
      'a collective nobody runs',
      { collective: 'allreduce' },
      /^t\.json: curves\[0\]\.collective: .*all_reduce/,
    ],
    ['one participant', { participants: 1 }, /^t\.json: curves\[0\]\.participants: /],
    ['one size', { size_bytes: [1], duration_ns: [1] }, /^t\.json: curves\[0\]\.size_bytes: /],
    ['no source of time', { duration_ns: undefined }, /^t\.json: curves\[0\]\.duration_ns: /],
    [
      'a time of nothing',
      { duration_ns: [1, 0, 1, 1] },
      /^t\.json: curves\[0\]\.duration_ns\[1\]: .*got 0/,
    ],
    [
      'a time below the clock',
      { duration_ns: [1, 1e-300, 1, 1] },
      /^t\.json: curves\[0\]\.duration_ns\[1\]: .*got 1e-300/,
    ],
    [
      'too few times',
      { duration_ns: [1, 2] },
      /^t\.json: curves\[0\]\.duration_ns: 2 durations for 4 sizes/,
    ],
    [
      'a size twice',
      { size_bytes: [1, 2, 2, 3] },
      /^t\.json: curves\[0\]\.size_bytes\[2\]: 2 after 2: sizes must ascend/,
    ],
    [
      'a size that is no number',
      { size_bytes: [1, '2', 3, 4] },
      /size_bytes\[1\]: expected number, received string/,
    ],
    ['a key that nobody knows', { size: 1 }, /unknown key "size"/],
    ['a message among four', { collective: 'send_recv' }, /participants: send_recv is between 2/],
    ['three a node of four', { devices_per_node: 3 }, /devices_per_node: 3 a node do not divide 4/],
  ])('refuses %s', (_, change, message) => {
    expect(() => parse({ ...curve, ...change })).toThrow(message);
  });

  it('refuses a curve twice', () => {
    const again = { ...curve, devices_per_node: 4 };
    expect(() => parse(curve, again)).toThrow(
      't.json: curves[1]: all_reduce of 4 in one node is there twice',
    );
  });
});
