/**
 * Goal: readers that know only duration_micros get sums right to a microsecond. Three kernels of
 * 400 ns: 0 (400 over), 1 (200 too many), 0; a rounding of each alone would lose all 1200 ns.
 */
import { expect, test } from 'vitest';
import { decodeGraph } from './decode.js';
import { encodeGraph } from './encode.js';
import { GraphBuilder } from './graph-builder.js';
import { NodeType } from './node-type.js';

function graphOf(...durationsNs: number[]) {
  const builder = new GraphBuilder();
  for (const ns of durationsNs) builder.setDuration(builder.addNode(NodeType.comp, 'k'), ns);
  return builder.finish();
}

test('rounding is carried on; exact durations survive beside it', () => {
  const bytes = encodeGraph(graphOf(400, 400, 400));
  const coarse = decodeGraph(bytes, { ignoreDurationNs: true });
  expect([...coarse.durationNs]).toEqual([0, 1000, 0]);
  expect([...decodeGraph(bytes).durationNs]).toEqual([400, 400, 400]);
});

test('nodes without a duration take no part, whole microseconds stay', () => {
  const coarse = decodeGraph(encodeGraph(graphOf(1400, 0, 5000, 2200)), { ignoreDurationNs: true });
  expect([...coarse.durationNs]).toEqual([1000, 0, 5000, 3000]);
});
