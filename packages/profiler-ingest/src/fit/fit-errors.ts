/**
 * Errors of a fit on points that were left out of it: each point of a line in turn, every tenth
 * point of a grid. End points are not left out: nothing but the slope before them could predict them.
 */
import type { FitError } from '@astrolabe/profile';
import { Corners, fitGrid, type GridPoints, type Knots } from './fit-grid.js';
import { type Line, type LinePoint, solveLine } from './fit-line.js';

const gridFolds = 10;

/** Relative errors as percent, to three digits. */
export function summarise(errors: readonly number[]): FitError {
  if (errors.length === 0)
    return { points: 0, meanAbsPercent: 0, p95AbsPercent: 0, biasPercent: 0 };
  const absolute = errors.map(Math.abs).sort((a, b) => a - b);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const percent = (value: number): number => Number((value * 100).toFixed(2)) + 0;
  return {
    points: errors.length,
    meanAbsPercent: percent(mean(absolute)),
    p95AbsPercent: percent(absolute[Math.ceil(absolute.length * 0.95) - 1]),
    biasPercent: percent(mean(errors)),
  };
}

export function lineErrors(points: readonly LinePoint[], line: Line): FitError {
  const errors: number[] = [];
  for (let out = 1; out < points.length - 1; out++) {
    const rest = points.filter((_, i) => i !== out);
    const fitted = solveLine(rest, line.at);
    errors.push(lineAt(fitted, points[out].at) / points[out].ns - 1);
  }
  return summarise(errors);
}

export function lineAt(line: Line, x: number): number {
  let i = 0;
  while (i < line.at.length - 2 && x > line.at[i + 1]) i++;
  if (line.at.length === 1) return line.ns[0];
  const weight = (x - line.at[i]) / (line.at[i + 1] - line.at[i]);
  return line.ns[i] + weight * (line.ns[i + 1] - line.ns[i]);
}

export function gridErrors(points: GridPoints, knots: Knots): FitError {
  const errors: number[] = [];
  const corners = new Corners();
  for (let fold = 0; fold < gridFolds; fold++) {
    const values = fitGrid(points, knots, (i) => i % gridFolds === fold);
    for (let i = fold; i < points.ns.length; i += gridFolds) {
      if (atEdge(points.column[i], knots.columns) || atEdge(points.row[i], knots.rows)) continue;
      corners.locate(knots, points.row[i], points.column[i]);
      let ns = 0;
      for (let c = 0; c < 4; c++) ns += corners.weight[c] * values[corners.index[c]];
      errors.push(ns / points.ns[i] - 1);
    }
  }
  return summarise(errors);
}

function atEdge(key: number, keys: Float64Array): boolean {
  return key === keys[0] || key === keys[keys.length - 1];
}
