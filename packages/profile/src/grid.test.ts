/** Lookups of a grid by hand: inside, between, in holes, beyond both ends, and how each was found. */
import { describe, expect, test } from 'vitest';
import { Grid, type GridShape } from './grid.js';
import { lookupState } from './operator-line.js';

const { exact, interpolated, extrapolated } = lookupState;

function gridOf(points: readonly (readonly [number, number, number])[], shape?: GridShape): Grid {
  const column = (i: 0 | 1 | 2): Float64Array => Float64Array.from(points, (point) => point[i]);
  const grid = Grid.fromPoints([column(0), column(1)], column(2), shape);
  if (grid === undefined) throw new Error('no points');
  return grid;
}

/** 10 x + y, at x of 1, 2, 4, 8 and y of 0, 100, 200. */
const points = [1, 2, 4, 8].flatMap((x) => [0, 100, 200].map((y) => [x, y, 10 * x + y] as const));
const shape: GridShape = { at: (x, y) => 10 * x + y };

describe('a grid without a shape', () => {
  const grid = gridOf(points);
  test.each([
    ['a measured point', 4, 100, 140, exact],
    ['between on both axes', 3, 50, 80, interpolated],
    ['below the first key: the first', 0.5, 100, 110, extrapolated],
    ['below on the other axis', 2, -50, 20, extrapolated],
    ['beyond the last key: the slope of the upper half goes on', 12, 100, 220, extrapolated],
    ['beyond on the other axis', 2, 400, 420, extrapolated],
  ] as const)('%s', (_, x, y, expected, state) => {
    expect(grid.at2(x, y)).toBeCloseTo(expected, 9);
    expect(grid.state).toBe(state);
  });

  test('of several points with one key the mean counts', () => {
    const repeated = gridOf([...points, [4, 100, 146], [4, 100, 149]]);
    expect(repeated.at2(4, 100)).toBeCloseTo(145, 9);
    expect(repeated.state).toBe(exact);
  });

  test('where times fall at the end they hold beyond it', () => {
    const falling = gridOf(points.map(([x, y]) => [x, y, 500 - 10 * x - y] as const));
    expect(falling.at2(100, 200)).toBeCloseTo(500 - 80 - 200, 9);
    expect(falling.at2(8, 9000)).toBeCloseTo(500 - 80 - 200, 9);
    expect(falling.state).toBe(extrapolated);
  });

  test('a row that falls holds beyond its end, too', () => {
    const steep = points.filter(([x, y]) => x < 8 || y < 200);
    const grid = gridOf(steep.map(([x, y, ns]) => [x, y, x === 8 ? 1000 - 9 * y : ns] as const));
    expect(grid.at2(8, 200)).toBeCloseTo(100, 9);
  });

  test('a state is of its lookup alone', () => {
    grid.at2(100, 100);
    grid.at2(4, 100);
    expect(grid.state).toBe(exact);
  });
});

describe('a grid over a shape', () => {
  test('is exact wherever the shape is, also beyond both ends', () => {
    const grid = gridOf(points, shape);
    for (const [x, y] of [
      [3, 150],
      [0.5, 20],
      [16, 100],
      [3, 900],
    ]) {
      expect(grid.at2Shaped(shape, x, y)).toBeCloseTo(shape.at(x, y, 0, 0), 9);
    }
  });

  test('is straight between chunk lengths within a tile of queries, over the shape between others', () => {
    const square: GridShape = { at: (x) => x * x };
    const squares = [128, 256, 1024].flatMap((x) => [0, 100].map((y) => [x, y, x * x] as const));
    const grid = gridOf(squares, square);
    expect(grid.at2Shaped(square, 192, 50)).toBeCloseTo((128 ** 2 + 256 ** 2) / 2, 6);
    expect(grid.at2Shaped(square, 640, 50)).toBeCloseTo(640 ** 2, 6);
  });

  test('holds its ratio to the shape beyond the end instead of continuing its slope', () => {
    // Ratios 1, 1, 1, 2 over x: continued they would grow for ever.
    const bent = points.map(([x, y, ns]) => [x, y, x === 8 ? 2 * ns : ns] as const);
    const grid = gridOf(bent, shape);
    expect(grid.at2Shaped(shape, 32, 100)).toBeCloseTo(2 * shape.at(32, 100, 0, 0), 9);
    // Plainly looked up, the last value holds.
    expect(grid.at2(32, 100)).toBeCloseTo(2 * shape.at(8, 100, 0, 0), 9);
    expect(grid.state).toBe(extrapolated);
  });
});

describe('holes', () => {
  const withHole = points.filter(([x, y]) => !(x === 2 && y === 100));

  test('are filled from neighbours on both axes, and count as interpolated', () => {
    const grid = gridOf(withHole);
    expect(grid.at2(2, 100)).toBeCloseTo(120, 9);
    expect(grid.state).toBe(interpolated);
    expect(grid.at2(2, 200)).toBe(220);
    expect(grid.state).toBe(exact);
  });

  test('beyond the measured part of a row continue it, or over a shape keep its ratio', () => {
    const short = points.filter(([x, y]) => !(x === 8 && y > 0));
    const grid = gridOf(short);
    expect(grid.at2(8, 200)).toBeCloseTo(80, 9);
    expect(grid.state).toBe(extrapolated);
    expect(grid.at2(6, 200)).toBeCloseTo(160, 9);
    expect(grid.state).toBe(extrapolated);
    expect(gridOf(short, shape).at2Shaped(shape, 8, 200)).toBeCloseTo(280, 9);
  });

  test('a little beyond the end of a row of contexts follow its slope, further off the shape', () => {
    // Steeper than the shape at x = 8: 5 y instead of y.
    const steep = points.map(([x, y, ns]) => [x, y, x === 8 ? ns + 4 * y : ns] as const);
    const short = steep.filter(([x, y]) => !(x === 8 && y > 100));
    const grid = gridOf([...short, [1, 400, 410]], shape);
    expect(grid.at2(8, 200)).toBeCloseTo(80 + 5 * 200, 9);
    expect(grid.state).toBe(extrapolated);
    const ratio = (80 + 5 * 200) / shape.at(8, 200, 0, 0);
    expect(grid.at2(8, 400)).toBeCloseTo(ratio * shape.at(8, 400, 0, 0), 9);
  });
});
