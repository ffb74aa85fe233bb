/**
 * Why, and whether, to believe a run: overload, what was fitted and what predicted, how operator
 * times were found, what limits the service, what is odd about the workload, what the metrics mean.
 *
 * Overload: the mean wait of the last quarter of arrivals is over half a second and over twice that of
 * the first quarter, so waiting grew as long as requests came. The wait is the queueing; with prefill
 * and decode apart it is the TTFT, as requests also wait for the decode instance. The load is the rate
 * at which requests came over the rate at which they got first tokens, both of the middle half of the
 * requests: the long answers with which a run ends say nothing about it.
 */
import { nsPerS } from '@astrolabe/base';
import { type MeasurementKind, profileUseSchema } from '@astrolabe/profile';
import { type Finding, Linter, type Request } from '@astrolabe/workload';
import { z } from 'zod';
import { type MeasuredLinksUse, measuredLinksUseSchema } from './communication-count.js';
import type { RequestResult } from './metrics.js';
import { type BindingCap, bindingCapSchema } from './power/binding-caps.js';
import { type PredictionIntervals, predictionIntervalsSchema } from './prediction-intervals.js';
import { type Binding, bindingSchema, type Saturation } from './saturation.js';
import type { LookupShare } from './summary.js';

const queueThatGrowsNs = 0.5 * nsPerS;
const fewestRequests = 8;

export const trustCardSchema = z.strictObject({
  overloaded: z.boolean(),
  load: z
    .number()
    .nullable()
    .describe('offered over served rate; null with fewer than two arrival times'),
  saturation: z.record(z.string(), bindingSchema).readonly().describe('of every instance'),
  basis: z
    .enum(['fitted', 'partly fitted', 'predicted'])
    .describe('fitted: every device has constants fitted on a real run; partly: some'),
  extrapolatedShare: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .describe('of operator lookups outside what was measured; null when nobody counted'),
  profiles: z
    .array(profileUseSchema)
    .readonly()
    .nullable()
    .describe('where operator times came from; null when nobody said'),
  measuredLinks: measuredLinksUseSchema
    .nullable()
    .describe('tables in place of links, and how much they timed; null without any'),
  assumedLinksShare: z
    .number()
    .describe(
      "of devices' busy time, communication alone over links that nobody measured or fitted",
    ),
  workload: z.array(z.string()).readonly().describe('findings of the workload lint, the first few'),
  metrics: z.record(z.string(), z.string()).readonly().describe('what each metric means'),
  intervals90: predictionIntervalsSchema
    .nullable()
    .describe('90 % intervals of means; null without a calibration'),
  powerCaps: z
    .array(bindingCapSchema)
    .readonly()
    .optional()
    .describe('only where a power cap was below what devices draw: a model slowed them'),
});
export type TrustCard = Readonly<z.infer<typeof trustCardSchema>>;

const mostFindings = 5;
/** Communication below this share of busy time changes nothing that shows. */
const worthSaying = 0.01;

export const metricDefinitions = {
  ttft: 'first token - arrival',
  tpot: '(last token - first token) / (output tokens - 1); none for one token',
  itl: 'gap between two tokens of a request',
  latency: 'last token - arrival',
  queueing: 'first scheduled - arrival',
  makespan: 'first arrival to last token',
  throughput: 'over the makespan',
} as const;

export interface TrustInputs {
  readonly results: readonly RequestResult[];
  readonly requests: readonly Request[];
  /** Prefill and decode are instances of their own. */
  readonly disaggregated: boolean;
  readonly saturation: readonly Saturation[];
  readonly lookups: LookupShare | undefined;
  /** Devices of the cluster, and those of them that have fitted constants. */
  readonly devices: number;
  readonly fittedDevices: number;
  readonly intervals90: PredictionIntervals | undefined;
  readonly measuredLinks: MeasuredLinksUse | undefined;
  readonly assumedLinksShare: number;
  readonly powerCaps?: readonly BindingCap[] | undefined;
}

export function trustCard(inputs: TrustInputs): TrustCard {
  const { results, devices, fittedDevices, powerCaps = [] } = inputs;
  let basis: TrustCard['basis'] = 'predicted';
  if (fittedDevices > 0) basis = fittedDevices === devices ? 'fitted' : 'partly fitted';
  return {
    overloaded: isOverloaded(results, inputs.disaggregated ? 'ttftNs' : 'queueingNs'),
    load: offeredOverServed(results),
    saturation: Object.fromEntries(inputs.saturation.map((one) => [one.instance, one.binds])),
    basis,
    extrapolatedShare: inputs.lookups?.extrapolatedShare ?? null,
    profiles: inputs.lookups?.profiles ?? null,
    measuredLinks: inputs.measuredLinks ?? null,
    assumedLinksShare: inputs.assumedLinksShare,
    workload: lint(inputs.requests),
    metrics: metricDefinitions,
    intervals90: inputs.intervals90 ?? null,
    ...(powerCaps.length === 0 ? {} : { powerCaps }),
  };
}

function isOverloaded(results: readonly RequestResult[], wait: 'queueingNs' | 'ttftNs'): boolean {
  if (results.length < fewestRequests) return false;
  const sorted = [...results].sort((a, b) => a.arrivalNs - b.arrivalNs);
  const quarter = Math.ceil(sorted.length / 4);
  const meanWait = (rows: readonly RequestResult[]): number =>
    rows.reduce((sum, row) => sum + (row[wait] ?? 0), 0) / rows.length;
  const early = meanWait(sorted.slice(0, quarter));
  const late = meanWait(sorted.slice(-quarter));
  return late > queueThatGrowsNs && late > 2 * early;
}

/** @returns null when the middle half came at once, or too few were served to tell */
function offeredOverServed(results: readonly RequestResult[]): number | null {
  const served = results.filter(({ firstTokenNs }) => firstTokenNs !== null);
  const arrivalsNs = middleSpan(served.map(({ arrivalNs }) => arrivalNs));
  if (arrivalsNs === 0) return null;
  return middleSpan(served.map(({ firstTokenNs }) => firstTokenNs ?? 0)) / arrivalsNs;
}

function middleSpan(timesNs: readonly number[]): number {
  if (timesNs.length < 2) return 0;
  const sorted = [...timesNs].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  return sorted[sorted.length - 1 - quarter] - sorted[quarter];
}

function lint(requests: readonly Request[]): string[] {
  const linter = new Linter('workload');
  const findings: Finding[] = [];
  requests.forEach((request, i) => {
    findings.push(...linter.add(request, `request ${request.id ?? i}`));
  });
  findings.push(...linter.end());
  const texts = findings.map(({ at, level, message }) => `${at}: ${level}: ${message}`);
  if (texts.length <= mostFindings) return texts;
  return [...texts.slice(0, mostFindings), `and ${texts.length - mostFindings} more`];
}

/** The line that a run in overload begins with; undefined otherwise. */
export function overloadLine({ overloaded, load }: TrustCard): string | undefined {
  if (!overloaded) return undefined;
  const rate =
    load === null
      ? 'all requests came at once'
      : `requests came ${load.toFixed(1)} times as fast as they were served`;
  return `OVERLOAD: ${rate}; waiting grew to the end, so TTFT and latency measure the backlog`;
}

/** Lines for people. */
export function formatTrustCard(card: TrustCard): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const lines = [
    '',
    'trust card',
    `basis         ${basisText[card.basis]}`,
    ...(card.profiles ?? []).map(
      ({ hardware, model, dtype, measurement, source }) =>
        `profile       ${hardware}, ${model}, ${dtype}: ${measurementText[measurement]} (${source})`,
    ),
    `lookups       ${
      card.extrapolatedShare === null
        ? 'not counted'
        : `${percent(card.extrapolatedShare)} outside the measured range (extrapolated or nearest)`
    }`,
    `saturation    ${Object.entries(card.saturation)
      .map(([name, binds]) => `${name}: ${bindingText[binds]}`)
      .join('; ')}`,
    `load          ${card.load === null ? 'not told: most requests came at once' : `${card.load.toFixed(2)} of what was served`}`,
  ];
  for (const { node, hardware, capW, activeW, computeSlowdown } of card.powerCaps ?? []) {
    lines.push(
      `power cap     node ${node}, ${hardware}: ${capW} W of ${activeW} W at full clock; compute up ` +
        `to ${percent(computeSlowdown - 1)} slower, by a model that is not measured`,
    );
  }
  if (card.intervals90 !== null) {
    const { intervals90 } = card;
    const shown = Object.entries(intervals90.metrics).map(([name, [low, high]]) => {
      const [label, unit] = intervalText[name] ?? [name, ''];
      return `${label} ${figure(low)} to ${figure(high)} ${unit}`.trimEnd();
    });
    if (shown.length > 0) lines.push(`90 % of means ${shown.join(', ')}`);
  }
  if (card.measuredLinks !== null) lines.push(...measuredLinksLines(card.measuredLinks));
  if (card.assumedLinksShare >= worthSaying) {
    lines.push(
      `links         ${percent(card.assumedLinksShare)} of devices' busy time is communication alone, ` +
        'over links as the cluster file assumes them',
    );
  }
  for (const text of card.workload) lines.push(`workload      ${text}`);
  if (card.workload.length === 0) lines.push('workload      nothing odd');
  lines.push(
    `metrics       ${Object.entries(card.metrics)
      .map(([name, text]) => `${name} = ${text}`)
      .join('; ')}`,
  );
  return lines;
}

function measuredLinksLines(use: MeasuredLinksUse): string[] {
  const { communications, exposedShare, errorPct } = use;
  const lines = use.tables.map((table) => `links         measured, ${table}`);
  if (communications === null) {
    return [...lines, 'links         the system simulator does not say what it timed by them'];
  }
  const { measured, beyond, simulated } = communications;
  const share = measured === 0 ? '' : ` (${((100 * beyond) / measured).toFixed(2)} %)`;
  const error =
    errorPct === null
      ? 'how exact the table is it does not say'
      : `90 % of the table's times within ${errorPct} %`;
  return [
    ...lines,
    `links         ${measured} collectives and messages timed by the table, ${beyond} of them` +
      `${share} beyond its sizes (extrapolated); ${simulated} by the network model`,
    `links         ${(100 * exposedShare).toFixed(1)} % of devices' busy time is communication alone; ${error}`,
  ];
}

const basisText: Record<TrustCard['basis'], string> = {
  fitted: 'step constants fitted on a real run of every device; operators as in the profile',
  'partly fitted': 'step constants fitted for some devices only; operators as in the profiles',
  predicted:
    'nothing fitted: operators as in the profile, host with start values; expect TPOT within 4 % with ' +
    'the profile of a GPU measured in an engine, more with others',
};

/** Errors are those of docs/profiler-ingest.md. */
const measurementText: Record<MeasurementKind, string> = {
  kernel: 'measured, kernel times',
  cuda_event: 'measured between device events, launch gaps included',
  wall_clock: 'measured by the host\u2019s clock',
  predicted: 'another tool\u2019s prediction',
  simulated: 'simulated by another tool',
  roofline: 'not measured: from a data sheet; where it could be checked TPOT came out 15 % too low',
  derived: 'not measured: scaled from another profile; TPOT came out 8 % too low where checked',
  unknown: 'of unknown origin',
};

/** Names and units of the means that have intervals. */
const intervalText: Readonly<Record<string, readonly [label: string, unit: string]>> = {
  ttftMeanMs: ['TTFT', 'ms'],
  tpotMeanMs: ['TPOT', 'ms'],
  itlMeanMs: ['ITL', 'ms'],
  latencyMeanMs: ['latency', 'ms'],
  makespanS: ['makespan', 's'],
  outputTokensPerS: ['output', 'tokens/s'],
};

const bindingText: Record<Binding, string> = {
  kv: 'KV-bound',
  seats: 'bound by seats (max_num_seqs)',
  budget: 'compute-bound (token budget)',
  bandwidth: 'bound by memory bandwidth',
  compute: 'compute-bound',
  none: 'not saturated',
};

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
