/**
 * Constants fitted on a real run, per device. The file names the run; every result computed with it
 * says so. Nothing here scales operators or models: only host and step residuals.
 */
import { z } from 'zod';

const ns = z.number().int().nonnegative();
const interval = z.tuple([ns, ns]).optional();

export const deviceCalibrationSchema = z.strictObject({
  source: z.string().describe('the real run these were fitted on'),
  step_overhead_ns: ns.default(0).describe('serial device time of every step outside operators'),
  step_overhead_interval_ns: interval.describe('90 % interval of its fit'),
  front_end_delay_ns: ns.default(0).describe('arrival to the engine, at idle'),
  front_end_delay_interval_ns: interval.describe('90 % interval of its fit'),
  warm_up_ns: ns.default(0).describe('extra time of the first step of an instance'),
  power_meter_lag_ns: ns
    .optional()
    .describe('time constant of the power meter at the wall: its readings follow, energy does not'),
});

export const calibrationSchema = z.strictObject({
  about: z.string().optional(),
  devices: z.record(z.string(), deviceCalibrationSchema),
});

export type DeviceCalibration = z.infer<typeof deviceCalibrationSchema>;
export type Calibration = z.infer<typeof calibrationSchema>;

/** Nothing fitted. */
export const noCalibration: Calibration = { devices: {} };
