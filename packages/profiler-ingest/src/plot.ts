/** A measured series as a picture in text, both axes logarithmic: noise and stairs at a glance. */

const width = 72;
const height = 16;

/** @param points (key > 0, ns > 0), not empty. @returns lines of text */
export function plotSeries(
  title: string,
  points: readonly (readonly [number, number])[],
): string[] {
  const xs = points.map(([key]) => Math.log(key));
  const ys = points.map(([, ns]) => Math.log(ns));
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [bottom, top] = [Math.min(...ys), Math.max(...ys)];
  const cells = Array.from({ length: height }, () => new Array<string>(width).fill(' '));
  points.forEach((_, i) => {
    const column = place(xs[i], left, right, width);
    const row = height - 1 - place(ys[i], bottom, top, height);
    cells[row][column] = '*';
  });
  const us = (log: number): string => `${(Math.exp(log) / 1000).toPrecision(3)} us`.padStart(10);
  const lines = cells.map((row, i) => {
    const label = i === 0 ? us(top) : i === height - 1 ? us(bottom) : ' '.repeat(10);
    return `${label} |${row.join('').trimEnd()}`;
  });
  const ends = [Math.round(Math.exp(left)), Math.round(Math.exp(right))].map(String);
  const gap = ' '.repeat(Math.max(1, width - ends[0].length - ends[1].length));
  return [title, ...lines, `${' '.repeat(12)}${ends[0]}${gap}${ends[1]}`];
}

function place(value: number, low: number, high: number, cells: number): number {
  return high === low ? 0 : Math.round(((value - low) / (high - low)) * (cells - 1));
}
