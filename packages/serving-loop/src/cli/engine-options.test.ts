/** Which host model a device gets. */
import { type Calibration, hostStepSchema, outputPathSchema } from '@astrolabe/config';
import { describe, expect, it } from 'vitest';
import { noHostTime } from '../trust-card.js';
import { hostModel, hostModelFlag } from './engine-options.js';

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
