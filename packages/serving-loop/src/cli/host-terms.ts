/** Which host terms a run takes of the calibration: per kind of device, and of the service as a whole. */
import {
  type Calibration,
  type Cluster,
  type HostStep,
  hostStepSchema,
  npuHardware,
  type OutputPath,
  outputPathSchema,
} from '@astrolabe/config';
import type { HostTerms } from '../run-inputs.js';
import type { EngineFlags } from './engine-options.js';

/** Each kind of device once, of all stages and feed-forward pools. */
export function servingHardware({ instances }: Cluster): string[] {
  return [...new Set(instances.flatMap(npuHardware))];
}

/** The service has one front end, one meter, one way to the client: of unlike devices the slowest hold. */
export function hostTerms(
  cluster: Cluster,
  calibration: Calibration,
  model: EngineFlags['hostModel'],
): HostTerms {
  const hardware = servingHardware(cluster);
  const devices = hardware.flatMap((name) => calibration.devices[name] ?? []);
  return {
    frontEndDelayNs: Math.max(0, ...devices.map((device) => device.front_end_delay_ns)),
    warmUpNs: Math.max(0, ...devices.map((device) => device.warm_up_ns)),
    powerMeterLagNs: Math.max(0, ...devices.map((device) => device.power_meter_lag_ns ?? 0)),
    ...hostModel(model, calibration, hardware),
  };
}

/** The flag, where these devices' hosts take another time than as calibrated; else nothing. */
export function hostModelFlag(
  name: EngineFlags['hostModel'],
  calibration: Calibration,
  hardware: readonly string[],
): string[] {
  const hostOf = (model: EngineFlags['hostModel']): string => {
    const { steps = {}, output } = hostModel(model, calibration, hardware);
    return JSON.stringify([steps, output]);
  };
  return hostOf(name) === hostOf('calibrated') ? [] : [`--host-model ${name}`];
}

/**
 * Host work by hardware, and the way to the client, the slowest of the devices' in each term. As
 * calibrated means the start values for a device of which nothing is known: a host takes some time.
 */
export function hostModel(
  name: EngineFlags['hostModel'],
  calibration: Calibration,
  hardware: readonly string[],
): { steps?: Record<string, HostStep | undefined>; output?: OutputPath | undefined } {
  if (name === 'none') return {};
  const steps: Record<string, HostStep | undefined> = {};
  let output: OutputPath | undefined;
  for (const device of hardware) {
    const known = calibration.devices[device];
    const starts = name === 'vllm' || known === undefined;
    steps[device] = known?.host_step ?? (starts ? hostStepSchema.parse({}) : undefined);
    const path = known?.output_path ?? (starts ? outputPathSchema.parse({}) : undefined);
    if (path !== undefined) output = output === undefined ? path : slower(output, path);
  }
  return { steps, output };
}

function slower(one: OutputPath, other: OutputPath): OutputPath {
  return {
    delay_ns: Math.max(one.delay_ns, other.delay_ns),
    detokenise_per_token_ns: Math.max(one.detokenise_per_token_ns, other.detokenise_per_token_ns),
  };
}
