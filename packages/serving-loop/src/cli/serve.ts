/** From options to results: loads inputs, builds the stages, runs the loop. */
import { assert } from '@astrolabe/base';
import { hashFile, Progress } from '@astrolabe/base/cli';
import type { Calibration, Cluster } from '@astrolabe/config';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import type { LatencyModel } from '@astrolabe/profile';
import { openProfiles } from '@astrolabe/profiler-ingest/cli';
import { clusterMachine, createMachine } from '@astrolabe/system-simulator';
import { createTraceGenerator } from '@astrolabe/trace-generator';
import { readWorkload } from '@astrolabe/workload/cli';
import { InProcessBackend } from '../carriers/in-process.js';
import { type RequestResult, requestResults } from '../metrics.js';
import { type HostTerms, type RunInputs, type RunResult, runServing } from '../serving-run.js';
import { type LookupShare, type Summary, summarise } from '../summary.js';
import type { ServingOptions } from './options.js';

export interface Served {
  readonly run: RunResult;
  readonly results: readonly RequestResult[];
  readonly summary: Summary;
  readonly inputs: Readonly<Record<string, string>>;
}

export type Observers = Pick<RunInputs, 'onIteration' | 'onCompletion'>;

/** @throws UserError any input that cannot be right, before the run starts */
export async function serve(options: ServingOptions, observers: Observers = {}): Promise<Served> {
  const cluster = loadCluster(options.clusterConfig, {
    flags: options.flags,
    memoryUtilization: options.memoryUtilization,
    deviceMemoryBytes: options.deviceMemoryBytes,
  });
  const calibration = loadCalibration(options.calibration);
  const profiles = await openProfiles(options.profiles);
  const requests = await readWorkload(options.workload);
  const models = new Set<LatencyModel>();
  const generator = createTraceGenerator({
    cluster,
    calibration,
    latencyModelFor: (instance) => {
      const { hardware, model, engine } = instance;
      const latency = profiles.latencyModel(hardware, model.name, engine.dtype);
      models.add(latency);
      return latency;
    },
  });
  const machine = createMachine(clusterMachine(cluster));
  const progress = new Progress(options.quiet);
  const run = await runServing({
    cluster,
    requests,
    backend: new InProcessBackend(generator, machine),
    routing: options.routing,
    seed: options.seed,
    hostTerms: hostTerms(cluster, calibration),
    intervalNs: Math.round(options.intervalS * 1e9),
    onProgress: (finished, total, nowNs) =>
      progress.update(finished / total, `${finished}/${total} at ${(nowNs / 1e9).toFixed(1)} s`),
    ...observers,
  });
  progress.end();
  const results = requestResults(run);
  const summary = summarise(run, results, {
    fitted: fittedSources(cluster, calibration),
    lookups: lookupShare(models),
  });
  return { run, results, summary, inputs: inputHashes(options) };
}

/** Host terms are the service's, so the slowest device's hold when devices differ. */
function hostTerms(cluster: Cluster, calibration: Calibration): HostTerms {
  let frontEndDelayNs = 0;
  let warmUpNs = 0;
  for (const instance of cluster.instances) {
    const device = calibration.devices[instance.hardware];
    if (device === undefined) continue;
    frontEndDelayNs = Math.max(frontEndDelayNs, device.front_end_delay_ns);
    warmUpNs = Math.max(warmUpNs, device.warm_up_ns);
  }
  return { frontEndDelayNs, warmUpNs };
}

function fittedSources(cluster: Cluster, calibration: Calibration): string[] {
  const hardware = new Set(cluster.instances.map((instance) => instance.hardware));
  return [...hardware].flatMap((name) => {
    const device = calibration.devices[name];
    return device === undefined ? [] : [`${name}: ${device.source}`];
  });
}

function lookupShare(models: ReadonlySet<LatencyModel>): LookupShare | undefined {
  let total = 0;
  let extrapolated = 0;
  for (const { counters } of models) {
    total += counters.exact + counters.interpolated + counters.extrapolated;
    extrapolated += counters.extrapolated;
  }
  assert(extrapolated <= total, 'more extrapolated lookups than lookups');
  return total === 0 ? undefined : { total, extrapolatedShare: extrapolated / total };
}

function inputHashes(options: ServingOptions): Record<string, string> {
  const hashes: Record<string, string> = { clusterConfig: hashFile(options.clusterConfig) };
  if (options.workload !== '-') hashes.workload = hashFile(options.workload);
  return hashes;
}
