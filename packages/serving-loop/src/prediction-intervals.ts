/**
 * 90 % intervals of the means of a run made with a calibration. Three parts, added in quadrature:
 *
 * - the fit: the calibration's own 90 % intervals (bootstrap over the fitted run's requests) of the
 *   step overhead, which every token waits for, and of the front-end delay, which every TTFT has;
 * - the form of the model: a stated relative error that no fit removes (`model_form_pct`), larger for
 *   models and TP degrees that the device's constants were not fitted on;
 * - links: the stated error of measured ones, or of those that a cluster file assumes, times the share
 *   of steps that is communication alone; none where the calibration fitted them.
 *
 * All of it is the error beside operator times that were measured; those of other profiles have their own.
 */
import { nsPerMs } from '@astrolabe/base';
import type { Calibration, DeviceCalibration } from '@astrolabe/config';
import type { MeasurementKind, ProfileUse } from '@astrolabe/profile';
import { z } from 'zod';

const lowAndHigh = z.tuple([z.number(), z.number()]).readonly();

export const predictionIntervalsSchema = z.strictObject({
  source: z.string().describe('where the stated part comes from'),
  metrics: z
    .record(z.string(), lowAndHigh)
    .readonly()
    .describe('times in ms, makespan in s, throughput in output tokens/s'),
});
export type PredictionIntervals = Readonly<z.infer<typeof predictionIntervalsSchema>>;

/** Means of a run; null where it has none. */
interface Means {
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly itlMs: number | null;
  readonly latencyMs: number | null;
  readonly makespanS: number;
  readonly outputTokensPerS: number;
}

/** A device of the run and what it serves. */
export interface ServingDevice {
  readonly hardware: string;
  readonly model: string;
  /** Devices of a tensor-parallel group. */
  readonly tp: number;
}

const measuredKinds: ReadonlySet<MeasurementKind> = new Set([
  'kernel',
  'cuda_event',
  'wall_clock',
] as const);

/** Whether all operator times were measured on the device they are used for. */
export function areMeasured(profiles: readonly ProfileUse[]): boolean {
  return profiles.every(({ measurement }) => measuredKinds.has(measurement));
}

/**
 * @param linkError relative error of a step from its links
 * @returns undefined unless every device is calibrated and the calibration states its error
 */
export function predictionIntervals(
  means: Means,
  serving: readonly ServingDevice[],
  calibration: Calibration,
  linkError = 0,
): PredictionIntervals | undefined {
  const form = calibration.model_form_pct;
  if (form === undefined || serving.length === 0) return undefined;
  const known = serving.flatMap(({ hardware }) => calibration.devices[hardware] ?? []);
  if (known.length < serving.length) return undefined;
  const isOther = serving.some((use, i) => isElsewhere(use, known[i]));
  const factor = isOther ? form.other_models : 1;
  const stepNs = widest(known, 'step_overhead_interval_ns');
  const delayNs = widest(known, 'front_end_delay_interval_ns');
  // A step's constant is this share of a token's time, so of everything made of steps.
  const perToken = means.tpotMs === null || means.tpotMs <= 0 ? 0 : stepNs / nsPerMs / means.tpotMs;
  const perFirst =
    means.ttftMs === null || means.ttftMs <= 0 ? 0 : (delayNs + stepNs) / nsPerMs / means.ttftMs;
  const metrics: Record<string, readonly [number, number]> = {};
  const add = (name: string, value: number | null, fit: number, pct: number): void => {
    if (value === null || value <= 0) return;
    const half = Math.hypot(fit, (factor * pct) / 100, linkError);
    metrics[name] = [value * Math.max(0, 1 - half), value * (1 + half)];
  };
  add('ttftMeanMs', means.ttftMs, perFirst, form.ttft);
  add('tpotMeanMs', means.tpotMs, perToken, form.tpot);
  add('itlMeanMs', means.itlMs, perToken, form.tpot);
  add('latencyMeanMs', means.latencyMs, perToken, form.latency);
  add('makespanS', means.makespanS, perToken / 2, form.makespan);
  add('outputTokensPerS', means.outputTokensPerS, perToken / 2, form.makespan);
  return { source: form.source, metrics };
}

function isElsewhere({ model, tp }: ServingDevice, device: DeviceCalibration): boolean {
  return device.models?.includes(model) === false || device.tp_sizes?.includes(tp) === false;
}

/** Where constants serve another model or TP degree than those they were fitted on, in words. */
export function usesElsewhere(
  serving: readonly ServingDevice[],
  calibration: Calibration,
): string[] {
  const texts = serving.flatMap((use) => {
    const device = calibration.devices[use.hardware];
    if (device === undefined || !isElsewhere(use, device)) return [];
    const { models, tp_sizes: degrees } = device;
    const parts = [];
    if (models?.includes(use.model) === false) {
      parts.push(`fitted on ${models.join(', ')}, used for ${use.model}`);
    }
    if (degrees?.includes(use.tp) === false) {
      parts.push(`fitted at TP ${degrees.join(', ')}, used at TP ${use.tp}`);
    }
    return [`${use.hardware}: ${parts.join('; ')}`];
  });
  return [...new Set(texts)];
}

/** Half of the widest interval, ns; 0 where none is given. */
function widest(
  devices: readonly DeviceCalibration[],
  key: 'step_overhead_interval_ns' | 'front_end_delay_interval_ns',
): number {
  return devices.reduce((most, device) => {
    const [low, high] = device[key] ?? [0, 0];
    return Math.max(most, (high - low) / 2);
  }, 0);
}
