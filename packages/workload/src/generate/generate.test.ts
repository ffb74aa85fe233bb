// Goal: generated workloads have the asked rate, burstiness and lengths, and every rule between
// requests holds for all shapes. Large samples against the distributions' known moments.
import { Random } from '@astrolabe/base';
import { describe, expect, it } from 'vitest';
import { requestSchema } from '../request.js';
import { RequestChecker } from '../request-checker.js';
import { type ArrivalOptions, arrivals } from './arrivals.js';
import { type GenerateOptions, generate, shapes } from './generate.js';
import { parseLength, quantileFractions, sampleLength } from './lengths.js';
import { presets } from './presets.js';

const poisson: ArrivalOptions = {
  process: 'poisson',
  ratePerS: 10,
  gapCv: 2,
  pulseRequests: 3,
  pulseGapS: 5,
  seed: 1,
};

function take(options: ArrivalOptions, count: number): number[] {
  const times = arrivals(options);
  return Array.from({ length: count }, () => times.next().value as number);
}

function gapMoments(times: readonly number[]): { mean: number; cv: number } {
  const gaps = times.slice(1).map((time, i) => (time - times[i]) / 1e9);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  return { mean, cv: Math.sqrt(variance) / mean };
}

describe('arrivals', () => {
  it('are Poisson', () => {
    const { mean, cv } = gapMoments(take(poisson, 20000));
    expect(Math.abs(mean - 0.1)).toBeLessThan(0.003);
    expect(Math.abs(cv - 1)).toBeLessThan(0.03);
  });

  it('burst as gamma gaps with the asked variation', () => {
    const { mean, cv } = gapMoments(take({ ...poisson, process: 'gamma', gapCv: 3 }, 40000));
    expect(Math.abs(mean - 0.1)).toBeLessThan(0.006);
    expect(Math.abs(cv - 3)).toBeLessThan(0.15);
  });

  it('tick at a fixed rate, without drift', () => {
    const times = take({ ...poisson, process: 'fixed', ratePerS: 3 }, 4);
    expect(times).toEqual([333333333, 666666667, 1000000000, 1333333333]);
  });

  it('pulse: groups at one instant, silence between', () => {
    const times = take({ ...poisson, process: 'pulses', ratePerS: 0 }, 7);
    expect(times.map((time) => time / 1e9)).toEqual([0, 0, 0, 5, 5, 5, 10]);
  });
});

describe('lengths', () => {
  it('are parsed', () => {
    expect(parseLength('12')).toEqual({ kind: 'fixed', tokens: 12 });
    expect(parseLength('3-9')).toEqual({ kind: 'uniform', low: 3, high: 9 });
    expect(parseLength('lognormal:700,0.5,1,4000')).toEqual({
      kind: 'lognormal',
      median: 700,
      sigma: 0.5,
      low: 1,
      high: 4000,
    });
    for (const bad of ['', '0', '9-3', '0-3', 'lognormal:1', 'normal:3', '-4', '1.5']) {
      expect(() => parseLength(bad)).toThrow('not a length');
    }
  });

  it('cover a uniform range including both ends', () => {
    const random = new Random(3);
    const seen = new Set(
      Array.from({ length: 300 }, () => sampleLength(parseLength('3-6'), random)),
    );
    expect([...seen].sort()).toEqual([3, 4, 5, 6]);
  });

  it.each(Object.entries(presets))('of %s have the quantiles of the source', (_name, preset) => {
    for (const length of [preset.prompt, preset.output, preset.turn]) {
      if (length.kind !== 'quantiles') throw new Error('expected quantiles');
      expect(length.values.length).toBe(quantileFractions.length);
      expect([...length.values].sort((a, b) => a - b)).toEqual(length.values);
      const random = new Random(5);
      const sample = Array.from({ length: 8000 }, () => sampleLength(length, random));
      sample.sort((a, b) => a - b);
      const half = sample[4000];
      expect(Math.abs(half - length.values[4])).toBeLessThanOrEqual(length.values[4] * 0.12 + 1);
      expect(sample[0]).toBeGreaterThanOrEqual(length.values[0]);
      expect(sample[7999]).toBeLessThanOrEqual(length.values[9]);
    }
  });
});

const options: GenerateOptions = {
  count: 500,
  shape: 'single',
  arrivals: poisson,
  prompt: presets.sharegpt.prompt,
  output: presets.sharegpt.output,
  turn: presets.sharegpt.turn,
  meanTurns: 3,
  meanThinkS: 2,
  branches: 3,
  branchShare: 0.5,
  systemPromptTokens: 40,
  systemPromptGroups: 2,
  maxTokens: 6000,
  seed: 9,
};

describe('generate', () => {
  it.each(shapes)('%s: exactly the asked requests, all valid', (shape) => {
    const requests = [...generate({ ...options, shape })];
    expect(requests.length).toBe(500);
    const checker = new RequestChecker();
    for (const request of requests) {
      requestSchema.parse(request);
      checker.check(request, 'generated');
      expect(request.promptTokens + request.outputTokens).toBeLessThanOrEqual(6000);
    }
    expect([...generate({ ...options, shape })]).toEqual(requests);
    expect([...generate({ ...options, shape, seed: 10 })]).not.toEqual(requests);
    const rare = { ...options.arrivals, ratePerS: 1e-12 };
    expect(() => [...generate({ ...options, shape, arrivals: rare })]).toThrow(/104 days/);
  });

  it('makes turns of the asked mean number in closed loop', () => {
    const requests = [...generate({ ...options, shape: 'sessions', count: 20000, maxTokens: 1e6 })];
    const sessions = new Set(requests.map((request) => request.session)).size;
    expect(Math.abs(20000 / sessions - 3)).toBeLessThan(0.1);
  });

  it('waits for the whole fan-out of an agentic step', () => {
    const requests = [...generate({ ...options, shape: 'agentic' })];
    const joins = requests.filter((request) => (request.after ?? []).length === 3);
    expect(joins.length).toBeGreaterThan(5);
    for (const join of joins) {
      const parents = (join.after ?? []).map((id) => requests[Number(id)]);
      expect(new Set(parents.map((parent) => parent.session))).toEqual(new Set([join.session]));
    }
  });

  it('shares system prompts within a group', () => {
    const requests = [...generate({ ...options, shape: 'single' })];
    const shared = requests.flatMap(({ prefix }) => (prefix === undefined ? [] : [prefix]));
    expect(shared.length).toBe(498);
    expect(new Set(shared.map((prefix) => prefix.of)).size).toBe(2);
    expect(shared.every((prefix) => prefix.tokens === 40)).toBe(true);
  });
});
