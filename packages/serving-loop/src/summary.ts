/** The answer in one object, and the same as text for people. */
import {
  type Distribution,
  distributionOfRepeated,
  distributionSchema,
  nsPerMs,
  nsPerS,
} from '@astrolabe/base';
import { type Calibration, type Instance, noCalibration, npuHardware } from '@astrolabe/config';
import { profileUseSchema } from '@astrolabe/profile';
import { z } from 'zod';
import { assumptions, hasUnknownError } from './assumptions.js';
import { classSummarySchema, formatClasses, summariseClasses } from './class-summary.js';
import { linkError } from './communication-count.js';
import { costPerHour, costSchema, formatCost, summariseCost } from './cost.js';
import { formatTiers, summariseTiers, tierPoolSummarySchema } from './kv/tier-summary.js';
import { distributionInMs, type RequestResult } from './metrics.js';
import { formatPower, powerSummarySchema, summarisePower } from './power/power-report.js';
import {
  areMeasured,
  predictionIntervals,
  type ServingDevice,
  usesElsewhere,
} from './prediction-intervals.js';
import { type Rejection, type RunResult, rejectionSchema } from './run-result.js';
import { saturationSchema } from './saturation.js';
import { formatSlo, type SloTargets, sloSummarySchema, summariseSlo } from './slo.js';
import {
  type ForeignStages,
  isForeign,
  type TrustCard,
  trustCard,
  trustCardSchema,
} from './trust-card.js';
import { formatTrustCard, overloadLine } from './trust-card-text.js';
import { workloadFindings } from './workload-findings.js';

const count = z.number().int().nonnegative();

const instanceSummarySchema = z.strictObject({
  name: z.string(),
  model: z.string(),
  hardware: z.string().describe('of all stages and feed-forward devices: `A + B`'),
  requests: count.describe('served to their end here'),
  prompts: count.optional().describe('computed here for decode instances; prefill instances only'),
  kvBlocks: count,
  kvPeakBlocks: count,
  kvPeakUsage: z.number(),
  preemptions: count,
});

const lookupShareSchema = z
  .strictObject({
    total: count,
    extrapolatedShare: z.number().min(0).max(1),
    profiles: z.array(profileUseSchema).readonly().describe('where operator times came from'),
  })
  .describe('how latency lookups were answered, over all devices');
export type LookupShare = Readonly<z.infer<typeof lookupShareSchema>>;

const inMs = distributionSchema.nullable().describe('ms; null where no request has one');

export const summarySchema = z.strictObject({
  complete: z.boolean(),
  requests: z.strictObject({
    total: count,
    finished: count,
    aborted: count.optional().describe('only when clients went away'),
    rejected: z.array(rejectionSchema).readonly().optional(),
  }),
  makespanS: z.number().describe('first arrival to last token'),
  throughput: z.strictObject({
    requestsPerS: z.number(),
    promptTokensPerS: z.number(),
    outputTokensPerS: z.number(),
  }),
  ttftMs: inMs,
  tpotMs: inMs,
  itlMs: inMs,
  latencyMs: inMs,
  queueingMs: inMs,
  classes: z
    .array(classSummarySchema)
    .readonly()
    .optional()
    .describe('only when requests are of two classes or more'),
  iterations: count,
  preemptions: count,
  recomputedTokens: count,
  promptTokens: count,
  outputTokens: count,
  prefixHitTokens: count,
  instances: z.array(instanceSummarySchema).readonly(),
  kvTransfers: z
    .strictObject({
      count,
      tokens: count,
      releasedUnfetched: count
        .optional()
        .describe(
          'prompts whose blocks prefill freed before they were fetched; only when there are',
        ),
    })
    .optional()
    .describe('from prefill to decode instances, in whole blocks'),
  fitted: z.array(z.string()).readonly(),
  lookups: lookupShareSchema.nullable(),
  trust: trustCardSchema.describe('why, and whether, to believe the figures'),
  saturation: z.array(saturationSchema).readonly().describe('what limits each instance'),
  slo: z.array(sloSummarySchema).readonly().optional().describe('only with service levels'),
  kvTiers: z
    .array(tierPoolSummarySchema)
    .readonly()
    .optional()
    .describe('only with KV tiers below the devices'),
  cost: costSchema.optional().describe('only when the cluster file has prices'),
  power: powerSummarySchema.optional().describe('only when the cluster file has power constants'),
});
export type Summary = Readonly<z.infer<typeof summarySchema>>;

export interface SummaryContext {
  /** Fitted constants in use, each naming its source. */
  readonly fitted: readonly string[];
  readonly lookups: LookupShare | undefined;
  readonly slo?: SloTargets | undefined;
  /** Absent: nothing is fitted. */
  readonly calibration?: Calibration | undefined;
  /** The calibration replaced the cluster file's links. */
  readonly linksFitted?: boolean | undefined;
  /** Sentences on links of it that the cluster file did not let in. */
  readonly unusedLinks?: readonly string[] | undefined;
  /** Stages that are other programs: nothing is claimed of what they do. */
  readonly foreign?: ForeignStages | undefined;
  /** Flags that leave the model for which constants were fitted. */
  readonly switched?: readonly string[] | undefined;
}

export function summarise(
  run: RunResult,
  results: readonly RequestResult[],
  context: SummaryContext,
): Summary {
  const finished = results.filter((row) => row.status === 'finished');
  const aborted = results.filter((row) => row.status === 'aborted').length;
  const pools = summariseTiers(run.tiers);
  const firstArrivalNs = results.reduce((least, row) => Math.min(least, row.arrivalNs), Infinity);
  const lastNs = finished.reduce((most, row) => Math.max(most, row.finishNs ?? 0), 0);
  const makespanS = finished.length === 0 ? 0 : (lastNs - firstArrivalNs) / nsPerS;
  const sum = (pick: (row: RequestResult) => number): number =>
    finished.reduce((total, row) => total + pick(row), 0);
  const promptTokens = sum((row) => row.promptTokens);
  const outputTokens = sum((row) => row.outputTokens);
  const perS = (amount: number): number => (makespanS > 0 ? amount / makespanS : 0);
  const throughput = {
    requestsPerS: perS(finished.length),
    promptTokensPerS: perS(promptTokens),
    outputTokensPerS: perS(outputTokens),
  };
  const classes = summariseClasses(
    results,
    run.requests.map((request) => request.sloClass),
  );
  const perHour = costPerHour(run.engines.map(({ instance }) => instance));
  const inMs = (pick: (row: RequestResult) => number | null): Distribution | null =>
    distributionInMs(finished, pick);
  const summary: Omit<Summary, 'trust'> = {
    complete: finished.length + aborted + run.rejections.length === results.length,
    requests: {
      total: results.length,
      finished: finished.length,
      ...(aborted > 0 ? { aborted } : {}),
      ...(run.rejections.length > 0 ? { rejected: run.rejections } : {}),
    },
    makespanS,
    throughput,
    ttftMs: inMs((row) => row.ttftNs),
    tpotMs: inMs((row) => row.tpotNs),
    itlMs: itlMs(run) ?? null,
    latencyMs: inMs((row) => row.latencyNs),
    queueingMs: inMs((row) => row.queueingNs),
    ...(classes.length === 0 ? {} : { classes }),
    iterations: run.numIterations,
    preemptions: sum((row) => row.preemptions),
    recomputedTokens: run.states.reduce((total, state) => total + state.recomputedTokens, 0),
    promptTokens,
    outputTokens,
    prefixHitTokens: sum((row) => row.prefixHitTokens),
    instances: summariseInstances(run, results),
    ...(run.transfers.count === 0 ? {} : { kvTransfers: transfersOf(run.transfers) }),
    fitted: isForeign(context.foreign ?? {}) ? [] : context.fitted,
    lookups: context.lookups ?? null,
    saturation: run.saturation,
    ...sloOf(run, results, context.slo, makespanS),
    ...(pools.length === 0 ? {} : { kvTiers: pools }),
    ...(perHour === undefined ? {} : { cost: summariseCost(perHour, throughput) }),
    ...(run.power === undefined ? {} : { power: summarisePower(run.power, results) }),
  };
  return { ...summary, trust: trustOf(summary, run, results, context) };
}

function summariseInstances(
  run: RunResult,
  results: readonly RequestResult[],
): Summary['instances'] {
  return run.engines.map((engine) => ({
    name: engine.instance.name,
    model: engine.instance.model.name,
    hardware: [...new Set(npuHardware(engine.instance))].join(' + '),
    requests: results.filter((row) => row.instance === engine.instance.index).length,
    ...(engine.role === 'prefill'
      ? { prompts: run.transfers.prefills.get(engine.index) ?? 0 }
      : {}),
    kvBlocks: engine.budget.numBlocks,
    kvPeakBlocks: engine.kv.peakUsedBlocks,
    kvPeakUsage: engine.kv.peakUsedBlocks / (engine.budget.numBlocks - 1),
    preemptions: engine.scheduler.preemptions,
  }));
}

function itlMs({ tokenGaps }: RunResult): Distribution | undefined {
  const { values, counts } = tokenGaps.repeated();
  return distributionOfRepeated({ values: values.map((gapNs) => gapNs / nsPerMs), counts });
}

function trustOf(
  summary: Omit<Summary, 'trust'>,
  run: RunResult,
  results: readonly RequestResult[],
  { calibration = noCalibration, lookups, linksFitted = false, ...context }: SummaryContext,
): TrustCard {
  const instances = run.engines.map(({ instance }) => instance);
  const serving = instances.flatMap(servingDevices);
  const hardware = [...new Set(serving.map((device) => device.hardware))];
  const means = {
    ttftMs: summary.ttftMs?.mean ?? null,
    tpotMs: summary.tpotMs?.mean ?? null,
    itlMs: summary.itlMs?.mean ?? null,
    latencyMs: summary.latencyMs?.mean ?? null,
    makespanS: summary.makespanS,
    outputTokensPerS: summary.throughput.outputTokensPerS,
  };
  const links = {
    exposedShare: run.exposedCommShare,
    tiersShare: run.exposedTiersShare,
    measured: run.measuredLinks,
    fitted: linksFitted,
    assumedPct: calibration.model_form_pct?.link ?? 0,
  };
  const profiles = lookups?.profiles ?? [];
  return trustCard({
    results,
    workload: workloadFindings({
      requests: run.requests,
      results,
      makespanS: summary.makespanS,
      warmUpNs: warmUpOf(hardware, calibration, context.foreign),
      sloClasses: Object.keys(context.slo ?? {}),
      prefixCaching: run.engines.every(({ role, kv }) => role === 'decode' || kv.prefixCaching),
    }),
    handedOverNs: handedOver(run),
    saturation: run.saturation,
    lookups,
    devices: hardware.length,
    fittedDevices: hardware.filter((name) => calibration.devices[name] !== undefined).length,
    intervals90:
      instances.some((one) => hasUnknownError(one, profiles)) || !areMeasured(profiles)
        ? undefined
        : predictionIntervals(means, serving, calibration, linkError(links)),
    assumedTiersShare: run.exposedTiersShare,
    assumedLinksShare: linksFitted || run.measuredLinks !== undefined ? 0 : run.exposedCommShare,
    powerCaps: run.power?.caps,
    measuredLinks: run.measuredLinks,
    foreign: context.foreign,
    switched: context.switched,
    constantsElsewhere: usesElsewhere(serving, calibration),
    assumed: [...assumptions(instances, profiles), ...(context.unusedLinks ?? [])],
  });
}

/** Those of an instance: of its stages, and where its feed-forward layers run. */
function servingDevices({ hardware, stageHardware, ffn, tp, model }: Instance): ServingDevice[] {
  const own = (stageHardware ?? [hardware]).map((name) => ({ hardware: name, tp }));
  return [...own, ...(ffn === undefined ? [] : [ffn])].map((device) => ({
    hardware: device.hardware,
    tp: device.tp,
    model: model.name,
  }));
}

/** Our generator puts it into the first step; another may not. */
function warmUpOf(
  hardware: readonly string[],
  { devices }: Calibration,
  foreign: ForeignStages = {},
): number {
  if (foreign.traceGenerator !== undefined) return 0;
  return Math.max(...hardware.map((name) => devices[name]?.warm_up_ns ?? 0));
}

/** When each request had its decode instance's first token; undefined unless prefill is apart. */
function handedOver({ engines, states }: RunResult): (number | null)[] | undefined {
  if (engines.every(({ role }) => role !== 'prefill')) return undefined;
  return states.map(({ firstTokenHereNs, firstTokenNs }) => {
    // One that ends with the token of its prefill goes to no decode instance.
    const tokenNs = firstTokenHereNs < 0 ? firstTokenNs : firstTokenHereNs;
    return tokenNs < 0 ? null : tokenNs;
  });
}

function transfersOf({
  count,
  tokens,
  released,
}: RunResult['transfers']): NonNullable<Summary['kvTransfers']> {
  return { count, tokens, ...(released === 0 ? {} : { releasedUnfetched: released }) };
}

function sloOf(
  run: RunResult,
  results: readonly RequestResult[],
  targets: SloTargets | undefined,
  makespanS: number,
): Pick<Summary, 'slo'> {
  if (targets === undefined) return {};
  const classes = run.requests.map((request) => request.sloClass);
  return { slo: summariseSlo(results, classes, targets, makespanS) };
}

function rejectedText(rejected: readonly Rejection[] = []): string {
  if (rejected.length === 0) return '';
  const [{ request, reason }] = rejected;
  return `, ${rejected.length} rejected (request ${request}: ${reason})`;
}

/** Lines for people; every figure with its unit. */
export function formatSummary(summary: Summary): string {
  const { requests, throughput } = summary;
  const overload = overloadLine(summary.trust);
  const lines = [
    ...(overload === undefined ? [] : [overload]),
    `${requests.finished} of ${requests.total} requests finished` +
      (requests.aborted === undefined ? '' : `, ${requests.aborted} abandoned by their clients`) +
      rejectedText(requests.rejected) +
      (summary.complete ? '' : '  ** INCOMPLETE **'),
    '',
    `makespan      ${summary.makespanS.toFixed(2)} s, ${summary.iterations} iterations`,
    `throughput    ${throughput.requestsPerS.toFixed(2)} requests/s, ` +
      `${throughput.promptTokensPerS.toFixed(0)} prompt + ` +
      `${throughput.outputTokensPerS.toFixed(0)} output tokens/s`,
    '',
    `${'ms'.padEnd(12)}${['mean', 'p50', 'p90', 'p95', 'p99'].map((name) => name.padStart(11)).join('')}`,
  ];
  const row = (name: string, d: Distribution | null): void => {
    if (d === null) return;
    const values = [d.mean, d.p50, d.p90, d.p95, d.p99];
    lines.push(name.padEnd(12) + values.map((value) => value.toFixed(2).padStart(11)).join(''));
  };
  row('TTFT', summary.ttftMs);
  row('TPOT', summary.tpotMs);
  row('ITL', summary.itlMs);
  row('latency', summary.latencyMs);
  row('queueing', summary.queueingMs);
  lines.push(...formatClasses(summary.classes));
  const hitShare = summary.promptTokens > 0 ? summary.prefixHitTokens / summary.promptTokens : 0;
  lines.push(
    '',
    `prefix hits   ${summary.prefixHitTokens} of ${summary.promptTokens} prompt tokens ` +
      `(${(hitShare * 100).toFixed(1)} %)`,
    `preemptions   ${summary.preemptions}, ${summary.recomputedTokens} tokens recomputed`,
  );
  if (summary.kvTransfers !== undefined) {
    const { count, tokens, releasedUnfetched } = summary.kvTransfers;
    const lost =
      releasedUnfetched === undefined
        ? ''
        : `; prefill freed ${releasedUnfetched} prompts before they were fetched: their KV may be lost`;
    lines.push(`KV transfers  ${count}, ${tokens} tokens from prefill to decode instances${lost}`);
  }
  for (const instance of summary.instances) {
    const served =
      instance.prompts === undefined
        ? `${instance.requests} requests`
        : `${instance.prompts} prompts`;
    lines.push(
      `${instance.name.padEnd(13)} ${instance.model} on ${instance.hardware}: ` +
        `${served}, KV peak ${instance.kvPeakBlocks} of ` +
        `${instance.kvBlocks} blocks (${(instance.kvPeakUsage * 100).toFixed(1)} %)`,
    );
  }
  if (summary.kvTiers !== undefined) lines.push(...formatTiers(summary.kvTiers));
  if (summary.cost !== undefined) lines.push(formatCost(summary.cost));
  if (summary.power !== undefined) lines.push(...formatPower(summary.power));
  for (const { statement } of summary.saturation) lines.push(`limits        ${statement}`);
  if (summary.slo !== undefined) lines.push(...formatSlo(summary.slo));
  for (const source of summary.fitted) lines.push(`fitted        ${source}`);
  lines.push(...formatTrustCard(summary.trust));
  return `${lines.join('\n')}\n`;
}
