/** From options to results: loads inputs, builds the stages, runs the loop. */
import { dirname, resolve } from 'node:path';
import { assert } from '@astrolabe/base';
import { hashFile, Progress } from '@astrolabe/base/cli';
import { type Calibration, type Cluster, calibrateLinks, unusedLinks } from '@astrolabe/config';
import { loadCalibration, loadCluster } from '@astrolabe/config/cli';
import type { LatencyModel, LookupCounts } from '@astrolabe/profile';
import { latencyModelOf, openProfiles } from '@astrolabe/profiler-ingest/cli';
import {
  createTraceGenerator,
  type TermSwitches,
  termSwitchesSchema,
} from '@astrolabe/trace-generator';
import { loadExpertRouters } from '@astrolabe/trace-generator/cli';
import { readWorkload } from '@astrolabe/workload/cli';
import { type RequestResult, requestResults } from '../metrics.js';
import { createStepPower } from '../power/operator-power.js';
import type { RunInputs } from '../run-inputs.js';
import type { RunResult } from '../run-result.js';
import { runServing } from '../serving-run.js';
import { type LookupShare, type Summary, summarise } from '../summary.js';
import { openBackend } from './carriers/open-backend.js';
import type { OpenedBackend, StageReport } from './carriers/opened-backend.js';
import { hostModelFlag, hostTerms, servingHardware } from './host-terms.js';
import { idleFlags } from './idle-flags.js';
import type { ServingOptions } from './options.js';
import { loadRouting } from './routing-options.js';

export interface Served {
  readonly run: RunResult;
  readonly results: readonly RequestResult[];
  readonly summary: Summary;
  readonly inputs: Readonly<Record<string, string>>;
}

export type Observers = Pick<RunInputs, 'onIteration' | 'onTransfer' | 'onCompletion'>;

/** @throws UserError any input that cannot be right, before the run starts */
export async function serve(options: ServingOptions, observers: Observers = {}): Promise<Served> {
  const calibration = loadCalibration(options.calibration);
  const nominal = servedCluster(options);
  const cluster = calibrateLinks(nominal, calibration);
  const onNote = (note: string): void => {
    if (!options.quiet) process.stderr.write(`serving-loop: note: ${note}\n`);
  };
  idleFlags(options, cluster).forEach(onNote);
  const requests = options.requests ?? (await readWorkload(options.workload, { onNote }));
  const routing = await loadRouting(options);
  const stepPower = await openStepPower(options, cluster);
  const opened = await openRunBackend(options, cluster, calibration);
  const progress = new Progress(options.quiet);
  let run: RunResult;
  let stages: StageReport;
  try {
    run = await runServing({
      cluster,
      requests,
      backend: opened.backend,
      ...routing,
      unservable: options.unservable,
      stepPower,
      seed: options.seed,
      hostTerms: hostTerms(cluster, calibration, options.engine?.hostModel ?? 'calibrated'),
      clientTimeoutNs: timeoutNs(options),
      intervalNs: Math.round(options.intervalS * 1e9),
      onProgress: (finished, total, nowNs) =>
        progress.update(finished / total, `${finished}/${total} at ${(nowNs / 1e9).toFixed(1)} s`),
      ...observers,
    });
    stages = await opened.finish();
  } catch (error) {
    await opened.abort();
    throw error;
  } finally {
    progress.end();
  }
  const results = requestResults(run);
  const summary = summarise(run, results, {
    fitted: fittedSources(cluster, calibration),
    lookups: lookupShare(stages.lookups),
    foreign: stages.foreign,
    switched: switchedFlags(options, cluster, calibration),
    slo: options.engine?.slo,
    calibration,
    linksFitted: cluster !== nominal,
    unusedLinks: unusedLinks(nominal, calibration),
  });
  return { run, results, summary, inputs: inputHashes(options, cluster) };
}

/** @throws UserError with the place in the cluster file */
export function servedCluster(options: ServingOptions): Cluster {
  return loadCluster(options.clusterConfig, {
    flags: options.flags,
    kvTiers: options.kvTiers,
    memoryUtilization: options.memoryUtilization,
    deviceMemoryBytes: options.deviceMemoryBytes,
  });
}

function openRunBackend(
  options: ServingOptions,
  cluster: Cluster,
  calibration: Calibration,
): Promise<OpenedBackend> {
  const flag = (name: string, value: string | number | boolean | undefined): string[] =>
    value === undefined ? [] : [name, String(value)];
  const file = typeof options.calibration === 'object' ? undefined : options.calibration;
  assert(
    file === options.calibration || options.stages === undefined,
    'other processes read the calibration from its file',
  );
  const clusterFlag = flag('--cluster-config', options.clusterConfig);
  const offloadFlag = flag('--enable-attn-offloading', options.flags.enable_attn_offloading);
  return openBackend({
    options: options.stages ?? { carrier: 'in-process', stageTimeoutMs: 0 },
    cluster,
    generator: () => openGenerator(options, cluster, calibration),
    generatorFlags: [
      ...clusterFlag,
      ...flag('--profiles', options.profiles),
      ...flag('--calibration', file),
      ...termFlags(options.terms),
      ...offloadFlag,
      ...flag('--enable-sub-batch-interleaving', options.flags.enable_sub_batch_interleaving),
      ...flag('--dtype', options.flags.dtype),
      ...flag('--kv-cache-dtype', options.flags.kv_cache_dtype),
      ...flag('--batch-padding', options.flags.batch_padding),
      ...flag('--bucket-padding-gap', options.flags.bucket_padding_gap),
      ...flag('--max-num-seqs', options.flags.max_num_seqs),
      ...flag('--max-num-batched-tokens', options.flags.max_num_batched_tokens),
    ],
    simulatorFlags: [...clusterFlag, ...offloadFlag, ...flag('--calibration', file ?? 'shipped')],
  });
}

async function openGenerator(options: ServingOptions, cluster: Cluster, calibration: Calibration) {
  const profiles = await openProfiles(options.profiles);
  const models = new Set<LatencyModel>();
  const generator = createTraceGenerator({
    cluster,
    calibration,
    ...(options.terms === undefined ? {} : { terms: options.terms }),
    expertRouterFor: await loadExpertRouters(cluster),
    latencyModelFor: (instance) => {
      const latency = latencyModelOf(profiles, instance);
      models.add(latency);
      return latency;
    },
  });
  return { generator, models };
}

/** From profiles of its own, so that what the run looks up is counted alone. */
async function openStepPower(options: ServingOptions, cluster: Cluster) {
  if (cluster.nodes.every(({ power }) => power === undefined)) return undefined;
  const profiles = await openProfiles(options.profiles);
  return createStepPower({
    cluster,
    ...(options.terms === undefined ? {} : { terms: options.terms }),
    expertRouterFor: await loadExpertRouters(cluster),
    latencyModelFor: (instance) => latencyModelOf(profiles, instance),
  });
}

function termFlags(terms: ServingOptions['terms'] = {}): string[] {
  return Object.entries(terms).flatMap(([name, on]) => [on ? '--with' : '--without', name]);
}

/** Flags that leave the model for which constants were fitted and errors are known. */
function switchedFlags(
  { engine, terms = {} }: ServingOptions,
  cluster: Cluster,
  calibration: Calibration,
): string[] {
  const defaults = termSwitchesSchema.parse({});
  const names = Object.keys(terms) as (keyof TermSwitches)[];
  return [
    ...hostModelFlag(engine?.hostModel ?? 'calibrated', calibration, servingHardware(cluster)),
    ...names
      .filter((name) => terms[name] !== defaults[name])
      .map((name) => `${terms[name] ? '--with' : '--without'} ${name}`),
  ];
}

function timeoutNs({ engine }: ServingOptions): number | undefined {
  const seconds = engine?.clientTimeoutS;
  return seconds === undefined ? undefined : Math.round(seconds * 1e9);
}

function fittedSources(cluster: Cluster, calibration: Calibration): string[] {
  return servingHardware(cluster).flatMap((name) => {
    const device = calibration.devices[name];
    return device === undefined ? [] : [`${name}: ${device.source}`];
  });
}

function lookupShare(counts: LookupCounts | undefined): LookupShare | undefined {
  if (counts === undefined || counts.total === 0) return undefined;
  const { total, extrapolated, profiles } = counts;
  assert(extrapolated <= total, 'more extrapolated lookups than lookups');
  return { total, extrapolatedShare: extrapolated / total, profiles };
}

function inputHashes(options: ServingOptions, cluster: Cluster): Record<string, string> {
  const hashes: Record<string, string> = { clusterConfig: hashFile(options.clusterConfig) };
  cluster.measuredLinks?.forEach(({ file }, i) => {
    hashes[`measuredLinks${i}`] = hashFile(resolve(dirname(options.clusterConfig), file));
  });
  if (options.workload !== '-') hashes.workload = hashFile(options.workload);
  if (options.routerModule !== undefined) hashes.routerModule = hashFile(options.routerModule);
  return hashes;
}
