/**
 * Why, and whether, to believe a run: overload, what was fitted and what predicted, how operator
 * times were found, what limits the service, what is odd about the workload, what the metrics mean.
 *
 * Overload: the mean wait of the last quarter of arrivals is over half a second and over twice that of
 * the first quarter, so waiting grew as long as requests came. The wait is the queueing; with prefill
 * and decode apart it ends with the first token of the decode instance, as requests wait for that, too.
 * The load is the rate at which requests came over the rate at which they got these first tokens, both
 * of the middle half of the requests: the long answers with which a run ends say nothing about it.
 */
import { nsPerS } from '@astrolabe/base';
import { profileUseSchema } from '@astrolabe/profile';
import { z } from 'zod';
import { type MeasuredLinksUse, measuredLinksUseSchema } from './communication-count.js';
import type { RequestResult } from './metrics.js';
import { type BindingCap, bindingCapSchema } from './power/binding-caps.js';
import { type PredictionIntervals, predictionIntervalsSchema } from './prediction-intervals.js';
import { bindingSchema, type Saturation } from './saturation.js';
import type { LookupShare } from './summary.js';

/** Shares of busy time below this change nothing that shows. */
export const worthSaying = 0.01;
const queueThatGrowsNs = 0.5 * nsPerS;
/** Of fewer requests nobody can say whether waiting grows. */
export const fewestToTellOverload = 8;

export const foreignStagesSchema = z
  .strictObject({
    traceGenerator: z.string().optional().describe('its command; operator times are its own'),
    systemSimulator: z.string().optional().describe('its command; step times are its own'),
  })
  .describe('stages that do not say that they are of this project');
export type ForeignStages = Readonly<z.infer<typeof foreignStagesSchema>>;

export const trustCardSchema = z.strictObject({
  overloaded: z.boolean(),
  load: z
    .number()
    .nullable()
    .describe('offered over served rate; null with fewer than two arrival times'),
  saturation: z.record(z.string(), bindingSchema).readonly().describe('of every instance'),
  basis: z
    .enum(['fitted', 'partly fitted', 'predicted'])
    .describe(
      'fitted: every device has constants fitted on a real run; partly: some; predicted: none, or a ' +
        'stage is another program',
    ),
  foreignStages: foreignStagesSchema.optional().describe('only where a stage is another program'),
  switched: z
    .array(z.string())
    .readonly()
    .optional()
    .describe('only with flags that leave the model for which constants and errors were found'),
  constantsElsewhere: z
    .array(z.string())
    .readonly()
    .optional()
    .describe(
      'only where fitted constants serve another model or TP degree than they were fitted on',
    ),
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
  assumedTiersShare: z
    .number()
    .optional()
    .describe(
      "of devices' busy time, waits for memory below them, whose bandwidth nobody measured; only " +
        'from 1 % on',
    ),
  assumed: z
    .array(z.string())
    .readonly()
    .optional()
    .describe(
      'only with drafts, experts, a KV cache of another type or a fitted link that the cluster file ' +
        'keeps out: what nobody computed or measured',
    ),
  workload: z
    .array(z.string())
    .readonly()
    .describe('findings of the workload lint, the first few, and what in it limits the answer'),
  metrics: z.record(z.string(), z.string()).readonly().describe('what each metric means'),
  intervals90: predictionIntervalsSchema
    .nullable()
    .describe(
      '90 % intervals of means; null unless every device runs as its constants were fitted',
    ),
  powerCaps: z
    .array(bindingCapSchema)
    .readonly()
    .optional()
    .describe('only where a power cap was below what devices draw: a model slowed them'),
});
export type TrustCard = Readonly<z.infer<typeof trustCardSchema>>;

/** What `switched` says of `--host-model none`. */
export const noHostTime = '--host-model none';

const metricDefinitions = {
  ttft: 'first token - arrival',
  tpot: '(last token - first token) / (output tokens - 1)',
  itl: 'gap between two tokens of a request',
  latency: 'last token - arrival',
  queueing: 'first scheduled - arrival',
  makespan: 'first arrival to last token',
  throughput: 'over the makespan',
} as const;

export interface TrustInputs {
  readonly results: readonly RequestResult[];
  /** Findings about the workload. */
  readonly workload: readonly string[];
  /** With prefill and decode apart: when each row had its decode instance's first token; null: never. */
  readonly handedOverNs?: readonly (number | null)[] | undefined;
  readonly saturation: readonly Saturation[];
  readonly lookups: LookupShare | undefined;
  /** Devices of the cluster, and those of them that have fitted constants. */
  readonly devices: number;
  readonly fittedDevices: number;
  readonly intervals90: PredictionIntervals | undefined;
  readonly measuredLinks: MeasuredLinksUse | undefined;
  readonly assumedLinksShare: number;
  readonly assumedTiersShare?: number | undefined;
  readonly powerCaps?: readonly BindingCap[] | undefined;
  readonly foreign?: ForeignStages | undefined;
  readonly switched?: readonly string[] | undefined;
  readonly constantsElsewhere?: readonly string[] | undefined;
  readonly assumed?: readonly string[] | undefined;
}

/** Whether a stage is another program, of which nothing is known here. */
export function isForeign({ traceGenerator, systemSimulator }: ForeignStages): boolean {
  return traceGenerator !== undefined || systemSimulator !== undefined;
}

export function trustCard(inputs: TrustInputs): TrustCard {
  const { foreign = {}, switched = [], constantsElsewhere = [] } = inputs;
  const foreignGenerator = foreign.traceGenerator !== undefined;
  // What a cap slows is computed by our generator.
  const powerCaps = foreignGenerator ? [] : (inputs.powerCaps ?? []);
  const vouched = !isForeign(foreign) && switched.length === 0 && powerCaps.length === 0;
  const ourSimulator = foreign.systemSimulator === undefined;
  const { assumedTiersShare = 0, assumed = [] } = inputs;
  return {
    overloaded: isOverloaded(inputs),
    load: offeredOverServed(inputs),
    saturation: Object.fromEntries(inputs.saturation.map((one) => [one.instance, one.binds])),
    basis: basisOf(inputs),
    ...(isForeign(foreign) ? { foreignStages: foreign } : {}),
    ...(switched.length === 0 ? {} : { switched }),
    ...(isForeign(foreign) || constantsElsewhere.length === 0 ? {} : { constantsElsewhere }),
    extrapolatedShare: inputs.lookups?.extrapolatedShare ?? null,
    profiles: inputs.lookups?.profiles ?? null,
    measuredLinks: inputs.measuredLinks ?? null,
    assumedLinksShare: ourSimulator ? inputs.assumedLinksShare : 0,
    ...(ourSimulator && assumedTiersShare >= worthSaying ? { assumedTiersShare } : {}),
    ...(assumed.length === 0 ? {} : { assumed }),
    workload: inputs.workload,
    metrics: metricDefinitions,
    intervals90: vouched ? (inputs.intervals90 ?? null) : null,
    ...(powerCaps.length === 0 ? {} : { powerCaps }),
  };
}

function basisOf({ devices, fittedDevices, foreign = {} }: TrustInputs): TrustCard['basis'] {
  if (fittedDevices === 0 || isForeign(foreign)) return 'predicted';
  return fittedDevices === devices ? 'fitted' : 'partly fitted';
}

function isOverloaded({ results, handedOverNs }: TrustInputs): boolean {
  const waits = results
    .flatMap(({ arrivalNs, queueingNs }, row) => {
      const tokenNs = handedOverNs?.[row] ?? null;
      const handOverNs = tokenNs === null ? null : tokenNs - arrivalNs;
      const waitNs = handedOverNs === undefined ? queueingNs : handOverNs;
      // Rejected, or gone before its turn: how long it would have waited nobody knows.
      return waitNs === null ? [] : [{ arrivalNs, waitNs }];
    })
    .sort((a, b) => a.arrivalNs - b.arrivalNs);
  if (waits.length < fewestToTellOverload) return false;
  const quarter = Math.ceil(waits.length / 4);
  const meanNs = (rows: typeof waits): number =>
    rows.reduce((sum, { waitNs }) => sum + waitNs, 0) / rows.length;
  const early = meanNs(waits.slice(0, quarter));
  const late = meanNs(waits.slice(-quarter));
  return late > queueThatGrowsNs && late > 2 * early;
}

/** @returns null when the middle half came at once, or too few were served to tell */
function offeredOverServed({ results, handedOverNs }: TrustInputs): number | null {
  const servedNs: number[] = [];
  const arrivalsNs: number[] = [];
  results.forEach(({ arrivalNs, firstTokenNs }, row) => {
    const tokenNs = handedOverNs === undefined ? firstTokenNs : handedOverNs[row];
    if (tokenNs === null) return;
    servedNs.push(tokenNs);
    arrivalsNs.push(arrivalNs);
  });
  const spanNs = middleSpan(arrivalsNs);
  return spanNs === 0 ? null : middleSpan(servedNs) / spanNs;
}

function middleSpan(timesNs: readonly number[]): number {
  if (timesNs.length < 2) return 0;
  const sorted = [...timesNs].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  return sorted[sorted.length - 1 - quarter] - sorted[quarter];
}
