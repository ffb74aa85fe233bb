/** Capacities that rest on unlike things are said to; like ones are not talked about. */
import { expect, test } from 'vitest';
import { exampleSummary } from '../example-summary.test-helper.js';
import { lateSenders, scarceClasses, unlikeBases } from './comparability.js';
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

test('a class in which a single miss is too many', () => {
  const of = (name: string, requests: number): ClusterCapacity => {
    const best = { ...run, ratePerS: 2.5, smallestClass: { name, requests } };
    return { ...capacity('a', {}), best };
  };
  expect(scarceClasses([of('chat', 99)], 0.99)).toEqual([
    'a: only 99 requests of class chat in the run at 2.5 requests/s, of which none may miss a target: a longer workload would tell more',
  ]);
  expect(scarceClasses([of('*', 9)], 0.9)[0]).toMatch(/^a: only 9 requests in the run/);
  expect(scarceClasses([of('chat', 100)], 0.99)).toEqual([]);
  expect(scarceClasses([of('chat', 5)], 1)).toEqual([]);
  expect(scarceClasses([capacity('b', {})], 0.99)).toEqual([]);
});

test('a rate at which sessions could not send', () => {
  const of = (ratePerS: number, sentPerS: number): ClusterCapacity => ({
    ...capacity('a', {}),
    best: { ...run, ratePerS, sentPerS },
  });
  expect(lateSenders([of(14.6, 1.444)])).toEqual([
    'a: at 14.6 requests/s sessions wait for their answers and users: 1.44 were sent; raise --seconds until both are near',
  ]);
  expect(lateSenders([of(10, 9.1), of(10, 10.2), capacity('b', {})])).toEqual([]);
});

test('the smallest class is that of the fewest requests', () => {
  const slo = [30, 10, 20].map((requests, i) => ({
    class: `c${i}`,
    targetsMs: {},
    requests,
    attained: requests,
    attainment: 1,
    attainmentOf: {},
    goodputRequestsPerS: 1,
    goodputTokensPerS: 1,
  }));
  const { smallestClass } = judgeRun(1, { ...exampleSummary, slo }, 0.99);
  expect(smallestClass).toEqual({ name: 'c1', requests: 10 });
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
