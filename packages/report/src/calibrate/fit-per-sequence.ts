/**
 * What every running request adds to a step on the host, from one real run: by how much measured TPOTs
 * exceed simulated ones more, the more requests decoded beside. A constant per step moves all requests
 * alike, so the two can be told apart where the load varied.
 */
import { assert } from '@astrolabe/base';
import type { RequestRow } from '../run-data.js';

/** @returns by request: how many decoded on average while it did, itself included; 0 without a decode */
export function meanRunning(rows: readonly RequestRow[]): Float64Array {
  // Requests decoding, summed over time up to each change of their number.
  const changes = rows
    .flatMap(({ firstTokenNs, lastTokenNs }) => [
      { timeNs: firstTokenNs, by: 1 },
      { timeNs: lastTokenNs, by: -1 },
    ])
    .sort((a, b) => a.timeNs - b.timeNs);
  const sumUntil = new Map<number, number>();
  let sum = 0;
  let running = 0;
  let sinceNs = changes[0]?.timeNs ?? 0;
  for (const { timeNs, by } of changes) {
    sum += running * (timeNs - sinceNs);
    sumUntil.set(timeNs, sum);
    running += by;
    sinceNs = timeNs;
  }
  return Float64Array.from(rows, ({ firstTokenNs, lastTokenNs }) => {
    if (lastTokenNs <= firstTokenNs) return 0;
    const spent = (sumUntil.get(lastTokenNs) ?? 0) - (sumUntil.get(firstTokenNs) ?? 0);
    return spent / (lastTokenNs - firstTokenNs);
  });
}

/** Least squares through all points. @returns undefined where x does not vary */
export function slopeOf(x: readonly number[], y: readonly number[]): number | undefined {
  assert(x.length === y.length, 'a point has two coordinates');
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let product = 0;
  let square = 0;
  for (let i = 0; i < x.length; i++) {
    product += (x[i] - meanX) * (y[i] - meanY);
    square += (x[i] - meanX) ** 2;
  }
  return square > 0 ? product / square : undefined;
}
