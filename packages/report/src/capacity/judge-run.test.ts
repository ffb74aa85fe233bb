/** What makes a rate too high, and how the table says it. */
import type { Summary } from '@astrolabe/serving-loop';
import { describe, expect, it } from 'vitest';
import { exampleSummary } from '../example-summary.test-helper.js';
import { type ClusterCapacity, formatCapacities } from './format-capacities.js';
import { judgeRun, type RateRun, rateOfSending } from './judge-run.js';

const served: Summary = { ...exampleSummary, requests: { total: 3, finished: 3 } };

function slo(name: string, ttft: number, tpot: number, both: number) {
  return {
    class: name,
    targetsMs: { ttft: 100, tpot: 10 },
    requests: 100,
    attained: 100 * both,
    attainment: both,
    attainmentOf: { ttft, tpot },
    goodputRequestsPerS: 1,
    goodputTokensPerS: 1,
  };
}

describe('judgeRun', () => {
  it('bears what is served without growing waits, targets or not', () => {
    expect(judgeRun(2, served, 0.99)).toMatchObject({
      ratePerS: 2,
      met: true,
      failed: [],
      attainment: null,
    });
    const met = judgeRun(2, { ...served, slo: [slo('*', 1, 0.99, 0.99)] }, 0.99);
    expect(met).toMatchObject({ met: true, attainment: 0.99 });
  });

  it('names everything that was not met', () => {
    const failing: Summary = {
      ...served,
      requests: { total: 3, finished: 2 },
      slo: [slo('*', 0.5, 1, 0.5), slo('chat', 0.99, 0.99, 0.98997), slo('batch', 1, 1, 1)],
      trust: { ...served.trust, overloaded: true },
    };
    expect(judgeRun(2, failing, 0.99)).toMatchObject({
      met: false,
      attainment: 0.5,
      failed: [
        '1 of 3 requests not served',
        'ttft 50.0 %',
        'chat: all targets 98.9 %',
        'waiting grows',
      ],
    });
  });

  it('counts tokens as long as requests come, not until the last has ended', () => {
    const cost = { perHour: 9, perMillionOutputTokens: 1, perMillionTokens: 1 };
    // 8 tokens of 3 requests in a makespan of 4 s, at 1.5 requests/s.
    const borne = judgeRun(1.5, { ...served, cost }, 0.99);
    expect(borne.outputTokensPerS).toBeCloseTo(4, 12);
    expect(borne.costPerMillionOutputTokens).toBeCloseTo(9 / (4 * 3600e-6), 9);
    expect(judgeRun(1.5, served, 0.99, 0.75).outputTokensPerS).toBeCloseTo(2, 12);
    const late = { ...served, trust: { ...served.trust, overloaded: true } };
    expect(judgeRun(15, late, 0.99).outputTokensPerS).toBe(2);
    expect(rateOfSending([5e9, 1e9, 3e9])).toBe(0.5);
    expect(rateOfSending([1, 1])).toBeUndefined();
  });

  it('says what limits most instances first', () => {
    const saturation = (['kv', 'none', 'seats', 'seats'] as const).map((binds) => ({
      instance: 'i',
      binds,
      waitedFor: { kv: 0, seats: 0, budget: 0 },
      busy: 1,
      bandwidth: 1,
      statement: '',
    }));
    expect(judgeRun(2, { ...served, saturation }, 0.99).limits).toEqual(['seats', 'KV blocks']);
  });
});

describe('formatCapacities', () => {
  const run: RateRun = { ...judgeRun(5.4, served, 0.99), ttftP99Ms: 1234.5, tpotP99Ms: null };
  const one: ClusterCapacity = {
    cluster: 'a.json',
    devices: 4,
    best: { ...run, outputTokensPerS: 2700.4, energyPerOutputTokenJ: 1.5 },
    beyond: { ...run, ratePerS: 6, met: false, failed: ['waiting grows'], limits: ['KV blocks'] },
    probes: [],
  };
  const asked = { workload: 'w.ndjson', seconds: 60, attainment: 0.99, targets: true };
  const cellsOf = (text: string): string[][] =>
    text
      .trimEnd()
      .split('\n')
      .slice(2)
      .map((line) => line.split(/ {2,}/));

  it('is a line per cluster, with power where any has it', () => {
    const text = formatCapacities([one, { ...one, cluster: 'b.json', best: undefined }], asked);
    expect(text).toContain('99 % of requests meet their targets and waiting does not grow\n');
    expect(cellsOf(text).slice(1)).toEqual([
      [
        'a.json',
        '5.4',
        '1.35',
        '1235',
        '-',
        '2700',
        '1.500',
        'waiting grows at 6 (limited by KV blocks)',
      ],
      ['b.json', '-', '-', '-', '-', '-', '-', 'waiting grows at 6 (limited by KV blocks)'],
    ]);
  });

  it('says what tokens cost where clusters have prices', () => {
    const cost = { perHour: 9, perMillionOutputTokens: 1.2345, perMillionTokens: 0.5 };
    const priced = { ...one, best: judgeRun(5, { ...served, cost }, 0.99) };
    const [head, line, without] = cellsOf(formatCapacities([priced, one], asked));
    const at = head.indexOf('cost/M output tokens');
    // 9 an hour over 8 tokens of 3 requests, 5 times a second.
    expect([line[at], without[at]]).toEqual(['188', '-']);
    expect(formatCapacities([one], asked)).not.toContain('cost');
  });

  it('says that the range ended first', () => {
    const best = { ...run, energyPerOutputTokenJ: null };
    const text = formatCapacities([{ ...one, best, beyond: undefined }], {
      ...asked,
      targets: false,
    });
    expect(text).not.toContain('targets');
    const odd = formatCapacities([one], { ...asked, attainment: 0.57 });
    expect(odd).toContain('at which 57 % of requests');
    const [head, line] = cellsOf(text);
    expect(head).not.toContain('J/output token');
    expect(line.at(-1)).toBe('nothing up to here');
  });
});
