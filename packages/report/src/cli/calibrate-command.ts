/** `report calibrate`: fits a device's residual constants on one real run and writes them as a file. */
import { askedBy, UserError } from '@astrolabe/base';
import { nonNegativeInteger, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import {
  type Calibration,
  calibrateLinks,
  calibrationSchema,
  type DeviceCalibration,
  deviceCalibrationSchema,
  npuHardware,
} from '@astrolabe/config';
import { loadCluster } from '@astrolabe/config/cli';
import {
  addBehaviourOptions,
  type ServingOptions,
  serve,
  servingOptions,
  shippedProfiles,
} from '@astrolabe/serving-loop/cli';
import type { Command } from 'commander';
import { fitLink, type LinkPoint } from '../calibrate/fit-link.js';
import {
  type Estimate,
  fitResiduals,
  type GridPoint,
  type Residuals,
} from '../calibrate/fit-residuals.js';
import { simulatedRows } from '../calibrate/simulated-rows.js';
import { matchRows } from '../compare.js';
import type { RunData } from '../run-data.js';
import { readRealRun, realHelp } from './real/read-real-run.js';

interface Flags {
  clusterConfig: string;
  workload: string;
  profiles?: string;
  real: string;
  name?: string;
  fitLink?: boolean;
  seed: number;
  output: string;
}

/** Step overheads tried, ns. */
const gridNs = [0, 0.5e6, 1e6, 1.5e6, 2e6, 3e6, 5e6];

export function addCalibrate(program: Command): void {
  const command = program
    .command('calibrate')
    .description('fits step overhead and front-end delay of a device on one real run')
    .requiredOption('--cluster-config <file>', 'the cluster the run was made on')
    .requiredOption('--workload <file>', 'the workload of the run; may be the measured file itself')
    .requiredOption('--real <path>', realHelp)
    .option('--profiles <dir>', 'profiles of the device (default: shipped)')
    .option('--name <text>', 'how results shall name the run (default: its path)')
    .option('--fit-link', 'the bandwidth inside a tensor-parallel group, too')
    .option('--seed <n>', 'seed of the resampling', nonNegativeInteger, 0)
    .option('-o, --output <file>', 'where the calibration goes; - is stdout', '-');
  addBehaviourOptions(command);
  command.action(async (flags: Flags) => {
    const options = servingOptions(command, shippedProfiles);
    checkTerms(options.terms ?? {});
    const text = `${JSON.stringify(await calibrate(flags, options), null, 2)}\n`;
    if (flags.output === '-') await writeStdout(text);
    else writeFileWhole(flags.output, text);
  });
}

/** @throws UserError a switch that would win over what is tried */
function checkTerms(terms: NonNullable<ServingOptions['terms']>): void {
  const fitted = (['stepOverhead', 'decodeTail'] as const).find((name) => name in terms);
  if (fitted === undefined) return;
  throw new UserError(`${fitted} is what this command finds out`, {
    at: terms[fitted] ? '--with' : '--without',
  });
}

async function calibrate(flags: Flags, given: ServingOptions): Promise<Calibration> {
  const { hardware, models, degrees, link } = whatServes(flags.clusterConfig);
  if (flags.fitLink && link === undefined) throw noLink(flags.clusterConfig);
  const real = await readRealRun(flags.real);
  const fit = fitterOf(asMeasured(given, real), hardware, real);
  const device = { decode_tail: await waitsForLongest(fit) };
  const links =
    flags.fitLink && link !== undefined
      ? { link: await linkOf(fit, device, link, real.source) }
      : {};
  const rates = await perSequenceOf(fit, { ...device, ...links });
  const fitted = await fit({ ...device, ...links, ...rates });
  for (const doubt of doubtsOf(fitted)) note(`note: ${doubt}`);
  const what = flags.fitLink
    ? 'step overhead, front-end delay and link'
    : 'step overhead and front-end delay';
  return {
    devices: {
      [hardware]: {
        source:
          `${what} fitted on ${flags.name ?? flags.real}: ${fitted.requests} requests, ` +
          `${fitted.unqueuedRequests} of them unqueued`,
        models,
        tp_sizes: degrees,
        step_overhead_ns: Math.round(fitted.stepOverhead.valueNs),
        step_overhead_interval_ns: interval(fitted.stepOverhead),
        ...rates,
        front_end_delay_ns: Math.round(fitted.frontEndDelay.valueNs),
        front_end_delay_interval_ns: interval(fitted.frontEndDelay),
        ...device,
        ...links,
        warm_up_ns: 0,
      },
    },
  };
}

/** Signs that the run is of something else than what was simulated. */
export function doubtsOf({
  tpotExcessPct,
  stepOverhead,
}: Pick<Residuals, 'tpotExcessPct' | 'stepOverhead'>): string[] {
  const cause = 'are profile, cluster and engine options those of the run?';
  const doubts: string[] = [];
  if (tpotExcessPct > 1) {
    doubts.push(
      `without any step overhead TPOT is still ${tpotExcessPct.toFixed(1)} % longer than measured: ${cause}`,
    );
  }
  const mostNs = gridNs[gridNs.length - 1];
  if (stepOverhead.valueNs > mostNs) {
    const [ms, mostMs] = [stepOverhead.valueNs / 1e6, mostNs / 1e6];
    doubts.push(
      `a step overhead of ${ms.toFixed(1)} ms is beyond the ${mostMs} ms that were tried: ${cause}`,
    );
  }
  return doubts;
}

type Rates = Pick<
  DeviceCalibration,
  'step_overhead_per_sequence_ns' | 'step_overhead_per_sequence_interval_ns'
>;
type Device = Pick<DeviceCalibration, 'decode_tail' | 'link'> & Rates;

/** The residuals that given constants of the device leave. */
type Fitter = (device: Device) => Promise<Residuals>;

function fitterOf(options: ServingOptions, hardware: string, real: RunData): Fitter {
  const fit: Fitter = async (device) => {
    const grid: GridPoint[] = [];
    for (const stepOverheadNs of gridNs) {
      const tried = { source: 'grid', step_overhead_ns: stepOverheadNs, ...device };
      const calibration = calibrationSchema.parse({ devices: { [hardware]: tried } });
      const { results } = await serve({ ...options, calibration });
      const rows = simulatedRows(results);
      matchRows({ rows, source: options.workload }, real);
      grid.push({ stepOverheadNs, rows });
    }
    return askedBy(real.source, () => fitResiduals(grid, real.rows, options.seed));
  };
  // Asked for the same constants more than once; each time is seven simulations.
  const known = new Map<string, Promise<Residuals>>();
  return (device) => {
    const key = JSON.stringify(device);
    const fitted = known.get(key) ?? fit(device);
    known.set(key, fitted);
    return fitted;
  };
}

/** Whichever describes single requests better; a part of the step overhead may be the wait. */
async function waitsForLongest(fit: Fitter): Promise<boolean> {
  const { tpotErrorPct: without } = await fit({ decode_tail: false });
  const { tpotErrorPct: waiting } = await fit({ decode_tail: true });
  // Without skew rows nothing changes: then constants hold with the term as without.
  const decodeTail = waiting < without;
  note(
    `TPOT of single requests within ${waiting.toFixed(2)} % with the wait for the longest decodes, ` +
      `${without.toFixed(2)} % without: it is ${decodeTail ? 'on' : 'off'}`,
  );
  return decodeTail;
}

/**
 * Kept only where the run shows it beyond its scatter. Requests that take longer meet more others, so
 * what a simulation with the first answer still leaves is added to it.
 */
async function perSequenceOf(fit: Fitter, device: Device): Promise<Rates> {
  const { perSequence } = await fit(device);
  if (perSequence === undefined) return {};
  const [low, high] = perSequence.intervalNs;
  const kept = low > 0;
  note(
    `a step takes ${us(perSequence.valueNs)} us more per request in it (90 %: ${us(low)} to ${us(high)}): ` +
      (kept ? 'kept' : 'left out, as that is not above 0'),
  );
  if (!kept) return {};
  const first = Math.round(perSequence.valueNs);
  const again = await fit({ ...device, step_overhead_per_sequence_ns: first });
  const left = again.perSequence?.valueNs ?? 0;
  const moved = (ns: number): number => Math.max(0, Math.round(ns + left));
  return {
    step_overhead_per_sequence_ns: moved(first),
    step_overhead_per_sequence_interval_ns: [moved(low), moved(high)],
  };
}

function us(ns: number): string {
  return (ns / 1000).toFixed(1);
}

/** Latency cannot be told from the step overhead: it is taken as what a fast link has. */
async function linkOf(fit: Fitter, device: Device, nominalGBps: number, real: string) {
  const link = { nominal_gb_s: nominalGBps, latency_ns: 2000 };
  const points: LinkPoint[] = [];
  for (const share of [1, 1 / 2, 1 / 4, 1 / 8]) {
    const bandwidthGBps = nominalGBps * share;
    const { ttftSlopeNs } = await fit({
      ...device,
      link: { ...link, bandwidth_gb_s: bandwidthGBps },
    });
    if (ttftSlopeNs === undefined) {
      throw new UserError('no link can be fitted: expected unqueued requests with unlike prompts', {
        at: real,
      });
    }
    points.push({ bandwidthGBps, ttftSlopeNs });
  }
  const { bandwidthGBps, inside } = fitLink(points);
  const figure = Number(bandwidthGBps.toPrecision(3));
  note(
    `link: ${figure} GB/s of ${nominalGBps}` +
      (inside ? '' : ', the nearest that was tried: TTFTs ask for another'),
  );
  return { ...link, bandwidth_gb_s: figure };
}

function note(text: string): void {
  process.stderr.write(`report: ${text}\n`);
}

function interval({ intervalNs: [low, high] }: Estimate): [number, number] {
  return [Math.round(low), Math.round(high)];
}

interface Serving {
  readonly hardware: string;
  readonly models: string[];
  readonly degrees: number[];
  /** What a fitted link replaces, GB/s; undefined where none can. */
  readonly link: number | undefined;
}

function whatServes(clusterConfig: string): Serving {
  const cluster = loadCluster(clusterConfig);
  const { instances, linkBandwidthGBps } = cluster;
  const hardware = new Set(instances.flatMap(npuHardware));
  const models = new Set(instances.map((one) => one.model.name));
  const degrees = [...new Set(instances.map(({ tp }) => tp))].sort((a, b) => a - b);
  if (hardware.size !== 1) {
    throw new UserError(`has ${hardware.size} kinds of device; one run calibrates one kind`, {
      at: clusterConfig,
    });
  }
  const [only] = hardware;
  const [nominal] = linkBandwidthGBps;
  const link = { nominal_gb_s: nominal, bandwidth_gb_s: nominal, latency_ns: 0 };
  const device = deviceCalibrationSchema.parse({ source: 'link', link });
  const replaces = calibrateLinks(cluster, { devices: { [only]: device } }) !== cluster;
  const grouped = instances.some(({ tp }) => tp > 1);
  return {
    hardware: only,
    models: [...models],
    degrees,
    link: replaces && grouped ? nominal : undefined,
  };
}

function noLink(clusterConfig: string): UserError {
  return new UserError(
    'has no link to fit: expected tensor parallelism, one link_bw, no topology, and no link_latency ' +
      "unless link_nominal says that it is a data sheet's",
    { at: clusterConfig },
  );
}

/** The options that a run needs beside what the command line says of the service. */
function asMeasured(given: ServingOptions, real: RunData): ServingOptions {
  return {
    ...given,
    flags: { ...given.flags, kv_blocks: given.flags.kv_blocks ?? real.kvBlocks },
    output: undefined,
    stages: undefined,
    intervalS: 1,
    summaryFormat: 'json',
    quiet: true,
  };
}
