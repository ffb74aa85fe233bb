// Goal: ServeGen's models give their own rate, burstiness and lengths; its text histograms are parsed,
// never evaluated.
import { describe, expect, it } from 'vitest';
import { parseHistogram, type ServeGenClient, serveGenRequests, weibullShape } from './servegen.js';

const client = (pattern: 'Gamma' | 'Weibull' | '', gapCv: number): ServeGenClient => ({
  name: `c${pattern}`,
  arrivals: [
    { startS: 0, ratePerS: 20, gapCv, pattern },
    { startS: 600, ratePerS: 0, gapCv, pattern },
    { startS: 1200, ratePerS: 40, gapCv, pattern },
  ],
  lengths: [
    {
      startS: 0,
      prompt: parseHistogram('{100: 0.25, 200: 0.75}', 'x'),
      output: parseHistogram('{7: 1.0}', 'x'),
    },
    {
      startS: 1200,
      prompt: parseHistogram('{5: 1}', 'x'),
      output: parseHistogram('{8: 1}', 'x'),
    },
  ],
});

const options = { startS: 0, durationS: 1800, rateFactor: 1, seed: 3 };

describe('serveGenRequests', () => {
  it.each([
    ['', 1, 1],
    ['Gamma', 2, 2],
    ['Weibull', 1.5, 1.5],
  ] as const)('pattern %s', (pattern, cv, expected) => {
    const requests = serveGenRequests([client(pattern, cv)], options);
    const first = requests.filter((request) => request.arrivalNs < 600e9);
    const last = requests.filter((request) => request.arrivalNs >= 1200e9);
    expect(first.length + last.length).toBe(requests.length);
    expect(Math.abs(first.length / 12000 - 1)).toBeLessThan(0.05);
    expect(Math.abs(last.length / 24000 - 1)).toBeLessThan(0.05);
    const gaps = first.slice(1).map((request, i) => request.arrivalNs - first[i].arrivalNs);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(Math.abs(Math.sqrt(variance) / mean / expected - 1)).toBeLessThan(0.08);
    const long = first.filter((request) => request.promptTokens === 200).length;
    expect(Math.abs(long / first.length - 0.75)).toBeLessThan(0.02);
    expect(new Set(first.map((request) => request.outputTokens))).toEqual(new Set([7]));
    expect(new Set(last.map((request) => request.promptTokens))).toEqual(new Set([5]));
  });

  it('cuts a part and scales rates; merges clients in order', () => {
    const part = serveGenRequests([client('', 1), { ...client('Gamma', 1), name: 'other' }], {
      ...options,
      startS: 300,
      durationS: 100,
      rateFactor: 0.5,
    });
    expect(Math.abs(part.length / 2000 - 1)).toBeLessThan(0.12);
    expect(part.map((request) => request.id)).toEqual(part.map((_, index) => index));
    const times = part.map((request) => request.arrivalNs);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(times[times.length - 1]).toBeLessThan(100e9);
  });

  it('knows Weibull shapes: exponential is 1, cv of shape 2 is sqrt(4/pi - 1)', () => {
    expect(weibullShape(1)).toBeCloseTo(1, 6);
    expect(weibullShape(Math.sqrt(4 / Math.PI - 1))).toBeCloseTo(2, 6);
  });

  it.each(['', '{}', '{1: x}', '{__import__("os"): 1}', '{1: -1}', '{1: 0}', 5])(
    'refuses the histogram %s',
    (text) => {
      expect(() => parseHistogram(text, 'f')).toThrow('f: ');
    },
  );
});
