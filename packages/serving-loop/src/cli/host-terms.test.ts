/** Which host model a device gets, and what holds where devices differ. */
import { type Calibration, hostStepSchema, outputPathSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { clusterOf } from '../machine.test-helper.js';
import { noHostTime } from '../trust-card.js';
import { hostModel, hostModelFlag, hostTerms } from './host-terms.js';

const starts = hostStepSchema.parse({});
const own = { ...starts, schedule_ns: 1 };
const device = { source: 's', step_overhead_ns: 0, front_end_delay_ns: 0, warm_up_ns: 0 };
const calibration: Calibration = {
  devices: { fitted: device, stepped: { ...device, host_step: own } },
};

describe('hostModel', () => {
  it('starts from the start values where nothing was fitted, and only there', () => {
    const hardware = ['fitted', 'stepped', 'unknown'];
    const { steps, output } = hostModel('calibrated', calibration, hardware);
    expect(steps).toEqual({ fitted: undefined, stepped: own, unknown: starts });
    expect(output).toEqual(outputPathSchema.parse({}));
    expect(hostModel('calibrated', calibration, ['fitted']).output).toBeUndefined();
  });

  it('gives the start values to all that have none, or to nobody', () => {
    const { steps } = hostModel('vllm', calibration, ['fitted', 'stepped']);
    expect(steps).toEqual({ fitted: starts, stepped: own });
    expect(hostModel('none', calibration, ['unknown'])).toEqual({});
  });
});

describe('hostModelFlag', () => {
  it('names the flag where it changes the host time of a device, and only there', () => {
    expect(hostModelFlag('calibrated', calibration, ['unknown'])).toEqual([]);
    expect(hostModelFlag('vllm', calibration, ['unknown', 'stepped'])).toEqual([]);
    expect(hostModelFlag('vllm', calibration, ['fitted'])).toEqual(['--host-model vllm']);
    expect(hostModelFlag('none', calibration, ['fitted'])).toEqual([]);
    expect(hostModelFlag('none', calibration, ['stepped'])).toEqual([noHostTime]);
    expect(hostModelFlag('none', calibration, ['unknown'])).toEqual([noHostTime]);
  });
});

describe('hostTerms', () => {
  const quick = { ...device, front_end_delay_ns: 1, warm_up_ns: 20, power_meter_lag_ns: 3 };
  const slow = { ...device, front_end_delay_ns: 10, warm_up_ns: 2 };
  const calibration: Calibration = {
    devices: {
      X: { ...quick, output_path: { delay_ns: 7, detokenise_per_token_ns: 50 } },
      Y: { ...slow, output_path: { delay_ns: 70, detokenise_per_token_ns: 5 } },
      Z: slow,
    },
  };
  const slowest = {
    frontEndDelayNs: 10,
    warmUpNs: 20,
    powerMeterLagNs: 3,
    output: { delay_ns: 70, detokenise_per_token_ns: 50 },
  };

  it('are of the slowest device in each, in whatever order, also of stages', () => {
    const of = (...entries: object[]) => hostTerms(clusterOf(entries), calibration, 'calibrated');
    for (const order of [
      ['X', 'Y', 'Z'],
      ['Z', 'Y', 'X'],
    ]) {
      expect(of(...order.map((hardware) => ({ hardware })))).toMatchObject(slowest);
    }
    expect(of({ pp_size: 2, stage_hardware: ['X', 'Y'] })).toMatchObject(slowest);
    expect(of({ hardware: 'Z' }).output).toBeUndefined();
  });
});
