/** Capacities that rest on unlike things are said to; like ones are not talked about. */
import { expect, test } from 'vitest';
import { exampleSummary } from '../example-summary.test-helper.js';
import { unlikeBases } from './comparability.js';
import type { ClusterCapacity } from './format-capacities.js';
import { judgeRun, type RateRun } from './judge-run.js';

const run = judgeRun(1, exampleSummary, 0.99);

function capacity(cluster: string, more: Partial<RateRun>): ClusterCapacity {
  return { cluster, devices: 1, best: undefined, beyond: undefined, probes: [{ ...run, ...more }] };
}

test('nothing to say of like clusters, or of one', () => {
  const like = { basis: 'predicted', measurements: ['roofline'] } as const;
  expect(unlikeBases([capacity('a', like), capacity('b', like)])).toEqual([]);
  expect(unlikeBases([capacity('a', like)])).toEqual([]);
});

test('fitted beside predicted, measured beside a data sheet', () => {
  const notes = unlikeBases([
    capacity('a.json', { basis: 'fitted', measurements: ['kernel'] }),
    capacity('b.json', { basis: 'predicted', measurements: ['roofline'] }),
    capacity('c.json', { basis: 'predicted', measurements: ['roofline'] }),
  ]);
  expect(notes).toEqual([
    'constants of real runs are not in all: a.json fitted; b.json, c.json predicted; like with like is --calibration none',
    'operator times are of unlike origin: a.json kernel; b.json, c.json roofline; differences may come of that',
  ]);
});

test('what a run rests on is taken from its trust card', () => {
  const trust = { ...exampleSummary.trust, basis: 'partly fitted' as const };
  const profile = { hardware: 'H', model: 'm', dtype: 'bf16', source: 's' } as const;
  const profiles = (['roofline', 'kernel', 'roofline'] as const).map((measurement) => ({
    ...profile,
    measurement,
  }));
  expect(judgeRun(1, { ...exampleSummary, trust: { ...trust, profiles } }, 0.99)).toMatchObject({
    basis: 'partly fitted',
    measurements: ['kernel', 'roofline'],
  });
});
