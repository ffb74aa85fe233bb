/** `report calibrate`: fits a device's residual constants on one real run and writes them as a file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@astrolabe/base';
import { nonNegativeInteger, writeFileWhole, writeStdout } from '@astrolabe/base/cli';
import type { Calibration } from '@astrolabe/config';
import { loadCluster } from '@astrolabe/config/cli';
import {
  addBehaviourOptions,
  type Served,
  type ServingOptions,
  serve,
  servingOptions,
  shippedProfiles,
} from '@astrolabe/serving-loop/cli';
import type { Command } from 'commander';
import {
  type Estimate,
  fitResiduals,
  type GridPoint,
  type Residuals,
} from '../calibrate/fit-residuals.js';
import { simulatedRows } from '../calibrate/simulated-rows.js';
import { matchRows } from '../compare.js';
import type { RunData } from '../run-data.js';
import { readRealRun, realHelp } from './real/index.js';

interface Flags {
  clusterConfig: string;
  workload: string;
  profiles?: string;
  real: string;
  name?: string;
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
    .option('--seed <n>', 'seed of the resampling', nonNegativeInteger, 0)
    .option('--output <file>', 'where the calibration goes; - = stdout', '-');
  addBehaviourOptions(command);
  command.action(async (flags: Flags) => {
    const options = servingOptions(command, shippedProfiles);
    const text = `${JSON.stringify(await calibrate(flags, options), null, 2)}\n`;
    if (flags.output === '-') await writeStdout(text);
    else writeFileWhole(flags.output, text);
  });
}

async function calibrate(flags: Flags, given: ServingOptions): Promise<Calibration> {
  const { hardware, models } = whatServes(flags.clusterConfig);
  const real = await readRealRun(flags.real);
  const options = asMeasured(given, real);
  const plain = await fit(options, hardware, real, false);
  const waiting = await fit(options, hardware, real, true);
  // Nothing changes without skew rows: then constants hold with the term as without.
  const decodeTail = waiting.tpotErrorPct < plain.tpotErrorPct;
  const chosen = decodeTail ? waiting : plain;
  process.stderr.write(
    `report: TPOT of single requests within ${waiting.tpotErrorPct.toFixed(2)} % with the wait for the ` +
      `longest decodes, ${plain.tpotErrorPct.toFixed(2)} % without: it is ` +
      `${decodeTail ? 'on' : 'off'}\n`,
  );
  return {
    devices: {
      [hardware]: {
        source:
          `step overhead and front-end delay fitted on ${flags.name ?? flags.real}: ` +
          `${chosen.requests} requests, ${chosen.unqueuedRequests} of them unqueued`,
        models,
        step_overhead_ns: Math.round(chosen.stepOverhead.valueNs),
        step_overhead_interval_ns: interval(chosen.stepOverhead),
        front_end_delay_ns: Math.round(chosen.frontEndDelay.valueNs),
        front_end_delay_interval_ns: interval(chosen.frontEndDelay),
        decode_tail: decodeTail,
        warm_up_ns: 0,
      },
    },
  };
}

/** The residuals with or without the wait for the longest decodes, which a part of them may be. */
async function fit(
  options: ServingOptions,
  hardware: string,
  real: RunData,
  decodeTail: boolean,
): Promise<Residuals> {
  const grid: GridPoint[] = [];
  for (const stepOverheadNs of gridNs) {
    const device = { source: 'grid', step_overhead_ns: stepOverheadNs, decode_tail: decodeTail };
    const served = await simulate(options, { devices: { [hardware]: device } });
    const rows = simulatedRows(served.results);
    matchRows({ rows, source: options.workload }, real);
    grid.push({ stepOverheadNs, rows });
  }
  return fitResiduals(grid, real.rows, options.seed);
}

function interval({ intervalNs: [low, high] }: Estimate): [number, number] {
  return [Math.round(low), Math.round(high)];
}

function whatServes(clusterConfig: string): { hardware: string; models: string[] } {
  const { instances } = loadCluster(clusterConfig);
  const hardware = new Set(instances.map((one) => one.hardware));
  const models = new Set(instances.map((one) => one.model.name));
  if (hardware.size === 1) return { hardware: [...hardware][0], models: [...models] };
  throw new UserError(`has ${hardware.size} kinds of device; one run calibrates one kind`, {
    at: clusterConfig,
  });
}

async function simulate(options: ServingOptions, given: unknown): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'astrolabe-'));
  try {
    const calibration = join(folder, 'calibration.json');
    writeFileWhole(calibration, JSON.stringify(given));
    return await serve({ ...options, calibration });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
