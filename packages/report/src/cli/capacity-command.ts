/** `report capacity`: the highest rate of a workload that each cluster bears. */
import { basename } from 'node:path';
import { askedBy, UserError } from '@astrolabe/base';
import { formatOption, fraction, positiveNumber, Verdict, writeStdout } from '@astrolabe/base/cli';
import { loadCluster } from '@astrolabe/config/cli';
import { fewestToTellOverload, unservable } from '@astrolabe/serving-loop';
import {
  addBehaviourOptions,
  addInputOptions,
  type Served,
  type ServingOptions,
  serve,
  servedCluster,
  servingOptions,
  shippedProfiles,
} from '@astrolabe/serving-loop/cli';
import { atRate, type Request, RequestDropper } from '@astrolabe/workload';
import { readWorkload } from '@astrolabe/workload/cli';
import { type Command, InvalidArgumentError } from 'commander';
import { lateSenders, scarceClasses, unlikeBases } from '../capacity/comparability.js';
import { fewestToJudge } from '../capacity/fewest-requests.js';
import { type Capacity, findCapacity } from '../capacity/find-capacity.js';
import {
  type ClusterCapacity,
  formatCapacities,
  threeFigures,
} from '../capacity/format-capacities.js';
import { judgeRun, type RateRun, rateOfSending } from '../capacity/judge-run.js';

interface Flags {
  workload: string;
  attainment: number;
  rates?: readonly [number, number];
  seconds: number;
  precision: number;
  format: 'text' | 'ndjson';
  quiet?: boolean;
}

export function addCapacity(program: Command): void {
  const command = program
    .command('capacity')
    .description(
      'the highest rate of a workload at which a cluster meets its targets and waiting does not grow',
    )
    .argument('<cluster...>', 'cluster files to compare')
    .optionsGroup('Inputs:')
    .requiredOption('--workload <file>', 'requests whose rate is changed; - is stdin; required');
  addInputOptions(command)
    .optionsGroup('Search:')
    .option('--attainment <share>', 'of requests that must meet every --slo', fraction, 0.99)
    .option('--rates <low:high>', 'requests/s to look between (default: until found)', rates)
    .option(
      '--seconds <s>',
      'of arrivals in every run; more where targets need more requests',
      positiveNumber,
      60,
    )
    .option('--precision <share>', 'how close the answer must be', positiveNumber, 0.05)
    .addOption(
      formatOption(['text', 'ndjson'], 'a table, or a line per cluster with every rate tried'),
    )
    .option('-q, --quiet', 'no line per rate on stderr');
  addBehaviourOptions(command);
  command.action(async (clusters: string[], flags: Flags) => {
    const requests = await readWorkload(flags.workload, { onNote: note });
    const options = servingOptions(command, shippedProfiles);
    checkClasses(Object.keys(options.engine?.slo ?? {}), requests);
    // What is wrong with a file or its profiles is told of before others are searched for minutes.
    const asked = clusters.map((cluster) => ({ cluster, devices: deviceCount(cluster) }));
    const servable = asked.map(({ cluster }) =>
      servableOf(requests, { ...options, clusterConfig: cluster }),
    );
    for (const [i, { cluster }] of asked.entries()) {
      const first = servable[i].slice(0, 1).map((request) => ({ ...request, arrivalNs: 0 }));
      await simulate(cluster, first, options, flags.seconds);
    }
    const found: ClusterCapacity[] = [];
    for (const [i, one] of asked.entries()) {
      found.push({ ...one, ...(await capacityOf(one.cluster, servable[i], options, flags)) });
    }
    unlikeBases(found).forEach(note);
    scarceClasses(found, flags.attainment).forEach(note);
    lateSenders(found).forEach(note);
    await writeStdout(
      flags.format === 'text'
        ? formatCapacities(found, {
            workload: workloadName(flags),
            seconds: flags.seconds,
            attainment: flags.attainment,
            targets: options.engine?.slo !== undefined,
          })
        : found.map((one) => `${JSON.stringify(one)}\n`).join(''),
    );
    const none = found.filter(({ best }) => best === undefined);
    if (none.length > 0) {
      throw new Verdict(`no rate was borne by ${none.map(({ cluster }) => cluster).join(', ')}`);
    }
  });
}

function rates(text: string): readonly [number, number] {
  const parts = text.split(':').map(Number);
  const [low, high] = parts;
  if (parts.length !== 2 || !(low > 0 && high >= low && Number.isFinite(high))) {
    throw new InvalidArgumentError('expected LOW:HIGH in requests/s, as in 1:64');
  }
  return [low, high];
}

function workloadName({ workload }: Flags): string {
  return workload === '-' ? 'the workload' : basename(workload);
}

/** @throws UserError a class that no request has: its targets would hold at any rate */
function checkClasses(named: readonly string[], requests: readonly Request[]): void {
  const classes = new Set(requests.map(({ sloClass }) => sloClass));
  const unknown = named.find((name) => name !== '*' && !classes.has(name));
  if (unknown === undefined) return;
  throw new UserError(`no request is of class ${unknown}`, { at: '--slo' });
}

function note(text: string): void {
  process.stderr.write(`report: note: ${text}\n`);
}

/**
 * What a cluster could never serve says nothing about a rate: it would only be met sooner or later.
 * @throws UserError such a request, unless `--unservable reject` leaves them out
 */
function servableOf(requests: readonly Request[], options: ServingOptions): readonly Request[] {
  const { clusterConfig: cluster } = options;
  const found = unservable(servedCluster(options), requests);
  if (found.length === 0) return requests;
  const [{ request, reason, hint }] = found;
  if (options.unservable !== 'reject' || found.length === requests.length) {
    const place = { at: `${cluster}: request ${request}` };
    throw new UserError(reason, hint === undefined ? place : { ...place, hint });
  }
  note(
    `${cluster}: ${found.length} of ${requests.length} requests could never be served and are left ` +
      `out (request ${request}: ${reason})`,
  );
  const gone = new Set(found.map((one) => one.request));
  const dropper = new RequestDropper();
  return requests.flatMap((one) => {
    const own = { ...one };
    if (!gone.has(one.id)) return [dropper.mend(own)];
    dropper.drop(own);
    return [];
  });
}

async function capacityOf(
  cluster: string,
  requests: readonly Request[],
  options: ServingOptions,
  flags: Flags,
): Promise<Capacity<RateRun>> {
  const probe = async (ratePerS: number): Promise<RateRun> => {
    const targets = Object.keys(options.engine?.slo ?? {});
    const toJudge = fewestToJudge(requests, targets, flags.attainment);
    const fewest = Math.max(fewestToTellOverload, toJudge);
    const seconds = Math.max(flags.seconds, fewest / ratePerS);
    const dense = askedBy(workloadName(flags), () => atRate(requests, ratePerS, seconds));
    const { summary, results } = await simulate(cluster, dense, options, seconds);
    const sentPerS = rateOfSending(results.map(({ arrivalNs }) => arrivalNs));
    const run = judgeRun(ratePerS, summary, flags.attainment, sentPerS);
    if (flags.quiet !== true) process.stderr.write(`report: ${cluster}: ${describe(run)}\n`);
    return run;
  };
  const { rates: range, precision } = flags;
  return await findCapacity(probe, { range, precision });
}

async function simulate(
  cluster: string,
  requests: readonly Request[],
  options: ServingOptions,
  intervalS: number,
): Promise<Served> {
  const run = { ...options, clusterConfig: cluster, requests, intervalS, quiet: true };
  return await serve({ ...run, output: undefined, stages: undefined });
}

function describe({ ratePerS, requests, met, failed }: RateRun): string {
  const rate = `${threeFigures(ratePerS)} requests/s, ${requests} requests`;
  return met ? `${rate}: borne` : `${rate}: not borne, ${failed.join('; ')}`;
}

/** @throws UserError a cluster without devices to serve on */
function deviceCount(cluster: string): number {
  const { instances } = loadCluster(cluster);
  const devices = instances.flatMap(({ npus, ffn }) => [...npus, ...(ffn?.npus ?? [])]);
  if (devices.length === 0) throw new UserError('has no devices', { at: cluster });
  return new Set(devices).size;
}
