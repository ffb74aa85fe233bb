/**
 * What is odd about a workload, and what in it limits the answer: too few requests for a percentile, a
 * run that is mostly beginning and end, shared prefixes without a prefix cache.
 */
import { nsPerS } from '@astrolabe/base';
import { type Finding, Linter, type Request } from '@astrolabe/workload';
import type { RequestResult } from './metrics.js';

const mostFindings = 5;
/** Of findings about the workload as a whole. */
const place = 'workload';
/** Shares from which on a finding is one. */
const edgesThatCount = 0.2;
const warmUpThatCounts = 0.01;
const sharedThatCounts = 0.05;

export interface WorkloadUse {
  readonly requests: readonly Request[];
  readonly results: readonly RequestResult[];
  readonly makespanS: number;
  /** Extra time of an instance's first step. */
  readonly warmUpNs: number;
  /** Every instance that serves prompts looks for known prefixes. */
  readonly prefixCaching: boolean;
  /** Classes of requests that have targets. */
  readonly sloClasses: readonly string[];
}

export function workloadFindings(use: WorkloadUse): string[] {
  return [
    ...lint(use.requests),
    ...withoutRequests(use),
    ...percentiles(use),
    ...classPercentiles(use),
    ...edges(use),
    ...warmUp(use),
    ...shared(use),
  ];
}

function lint(requests: readonly Request[]): string[] {
  const linter = new Linter(place);
  const findings: Finding[] = [];
  requests.forEach((request, i) => {
    findings.push(...linter.add(request, `request ${request.id ?? i}`));
  });
  findings.push(...linter.end());
  const texts = findings.map(({ at, level, message }) =>
    at === place ? message : `${at}: ${level}: ${message}`,
  );
  if (texts.length <= mostFindings) return texts;
  return [...texts.slice(0, mostFindings), `and ${texts.length - mostFindings} more`];
}

function withoutRequests({ requests, sloClasses }: WorkloadUse): string[] {
  const classes = new Set(requests.map(({ sloClass }) => sloClass));
  return sloClasses
    .filter((name) => name !== '*' && !classes.has(name))
    .map((name) => `no request is of class ${name}, which has targets`);
}

/** Percentiles interpolate between ranks: of n values p99 lies between the last two up to n = 101. */
const fewForP99 = 101;

function percentiles({ results }: WorkloadUse): string[] {
  const count = results.filter(({ status }) => status === 'finished').length;
  if (count === 0 || count > fewForP99) return [];
  if (count === 1) return ['all percentiles are of one request'];
  const which = count > 21 ? 'p99 rests' : 'p95 and p99 rest';
  return [`${which} on the slowest two of ${count} requests`];
}

/** Where all requests are enough, but those of a class are not. */
function classPercentiles({ requests, results }: WorkloadUse): string[] {
  const counts = new Map<string | undefined, number>();
  let finished = 0;
  requests.forEach(({ sloClass }, i) => {
    if (results[i]?.status !== 'finished') return;
    finished++;
    counts.set(sloClass, (counts.get(sloClass) ?? 0) + 1);
  });
  if (finished <= fewForP99) return [];
  return [...counts]
    .filter(([, count]) => count <= fewForP99)
    .map(([name, count]) => {
      const of = name === undefined ? 'requests without a class' : `class ${name}`;
      return `p99 of ${of} says little: only ${count} finished`;
    })
    .slice(0, mostFindings);
}

/**
 * While the first requests are served the service fills, while the last ones are it empties. Where all
 * came at once that is what was asked.
 */
function edges({ results, makespanS }: WorkloadUse): string[] {
  const servedS = results.flatMap(({ status, latencyNs, queueingNs }) =>
    status === 'finished' ? [((latencyNs ?? 0) - (queueingNs ?? 0)) / nsPerS] : [],
  );
  const arrivals = new Set(results.map(({ arrivalNs }) => arrivalNs));
  if (servedS.length === 0 || arrivals.size < 2 || makespanS <= 0) return [];
  const meanS = servedS.reduce((sum, value) => sum + value, 0) / servedS.length;
  const share = Math.min(1, (2 * meanS) / makespanS);
  if (share < edgesThatCount) return [];
  return [
    `the service fills or empties for up to ${percent(share)} of the makespan, as serving a request ` +
      `takes ${meanS.toFixed(1)} s: expect more throughput of a longer run`,
  ];
}

function warmUp({ warmUpNs, makespanS }: WorkloadUse): string[] {
  const warmUpS = warmUpNs / nsPerS;
  if (makespanS <= 0 || warmUpS < warmUpThatCounts * makespanS) return [];
  const share = percent(Math.min(1, warmUpS / makespanS));
  return [`warm-up (${warmUpS.toFixed(2)} s, once) is ${share} of the makespan`];
}

function shared({ requests, prefixCaching }: WorkloadUse): string[] {
  if (prefixCaching) return [];
  let prompt = 0;
  let known = 0;
  for (const { promptTokens, prefix } of requests) {
    prompt += promptTokens;
    known += Math.min(prefix?.tokens ?? 0, promptTokens);
  }
  if (known < sharedThatCounts * prompt) return [];
  return [
    `${percent(known / prompt)} of prompt tokens repeat earlier requests, and prefix caching is off`,
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
