/** Intervals: fit and form in quadrature, and none where nothing was fitted. */
import { describe, expect, it } from 'vitest';
import { predictionIntervals, usesElsewhere } from './prediction-intervals.js';

const means = {
  ttftMs: 100,
  tpotMs: 10,
  itlMs: null,
  latencyMs: 1000,
  makespanS: 50,
  outputTokensPerS: 2000,
};
const form = {
  source: 'stated',
  ttft: 8,
  tpot: 4,
  latency: 5,
  makespan: 2,
  link: 0,
  other_models: 3,
};
/** Half a step's interval is 0.3 ms: 3 % of a token; of the delay, 5.7 ms. */
const device = {
  source: 's',
  step_overhead_ns: 1e6,
  step_overhead_interval_ns: [0.7e6, 1.3e6] as [number, number],
  front_end_delay_ns: 0,
  front_end_delay_interval_ns: [0, 11.4e6] as [number, number],
  warm_up_ns: 0,
};

const serving = (...hardware: string[]) =>
  hardware.map((name) => ({ hardware: name, model: 'm', tp: 2 }));

describe('predictionIntervals', () => {
  it('adds the fit and the form in quadrature', () => {
    const found = predictionIntervals(means, serving('H'), {
      model_form_pct: form,
      devices: { H: device },
    });
    // 3 % and 4 % make 5 %; (5.7 + 0.3) / 100 ms and 8 % make 10 %.
    expect(found?.metrics.tpotMeanMs[0]).toBeCloseTo(9.5, 9);
    expect(found?.metrics.tpotMeanMs[1]).toBeCloseTo(10.5, 9);
    expect(found?.metrics.ttftMeanMs[0]).toBeCloseTo(90, 9);
    expect(found?.metrics).not.toHaveProperty('itlMeanMs');
  });

  it('is wider for a model or a TP degree that nothing was fitted on', () => {
    const width = (models?: string[], degrees?: number[]) => {
      const devices = { H: { ...device, models, tp_sizes: degrees } };
      const found = predictionIntervals(means, serving('H'), { model_form_pct: form, devices });
      return 1 - (found?.metrics.tpotMeanMs[0] ?? 0) / 10;
    };
    expect(width(['m', 'n'])).toBeCloseTo(width(), 12);
    // 3 % and three times 4 %.
    expect(width(['n'])).toBeCloseTo(Math.hypot(0.03, 0.12), 9);
    expect(width(['m'], [1, 2])).toBeCloseTo(width(), 12);
    expect(width(['m'], [4])).toBeCloseTo(width(['n']), 12);
  });

  it('names each use of constants that they were not fitted on, once', () => {
    const [models, other] = [['m', 'n'], ['o']];
    const devices = {
      H: { ...device, models, tp_sizes: [4] },
      I: device,
      J: { ...device, models: other, tp_sizes: [2] },
    };
    expect(usesElsewhere(serving('H', 'H', 'I', 'J', 'X'), { devices })).toEqual([
      'H: fitted at TP 4, used at TP 2',
      'J: fitted on o, used for m',
    ]);
  });

  it('adds the error of measured links as a third part', () => {
    const calibration = { model_form_pct: form, devices: { H: device } };
    const found = predictionIntervals(means, serving('H'), calibration, 0.12);
    // 3 %, 4 % and 12 % make 13 %.
    expect(found?.metrics.tpotMeanMs[0]).toBeCloseTo(8.7, 9);
    expect(found?.metrics.makespanS[1]).toBeCloseTo(50 * (1 + Math.hypot(0.015, 0.02, 0.12)), 9);
  });

  it.each([
    [
      'a device without a calibration',
      serving('H', 'X'),
      { model_form_pct: form, devices: { H: device } },
    ],
    ['a calibration that states no error', serving('H'), { devices: { H: device } }],
  ])('gives none for %s', (_, devices, calibration) => {
    expect(predictionIntervals(means, devices, calibration)).toBeUndefined();
  });
});
