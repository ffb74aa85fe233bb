/** The answer in one object, and the same as text for people. */
import { type Distribution, distribution, nsPerMs, nsPerS } from '@astrolabe/base';
import { type Calibration, noCalibration } from '@astrolabe/config';
import type { ProfileUse } from '@astrolabe/profile';

import { linkError } from './communication-count.js';
import { formatTiers, summariseTiers, type TierPoolSummary } from './kv/tier-summary.js';
import type { RequestResult } from './metrics.js';
import { formatPower, type PowerSummary, summarisePower } from './power/power-report.js';
import { predictionIntervals } from './prediction-intervals.js';
import type { Rejection, RunResult } from './run-result.js';
import type { Saturation } from './saturation.js';
import { formatSlo, type SloSummary, type SloTargets, summariseSlo } from './slo.js';
import { formatTrustCard, overloadLine, type TrustCard, trustCard } from './trust-card.js';

export interface InstanceSummary {
  readonly name: string;
  readonly model: string;
  readonly hardware: string;
  /** Served to their end here. */
  readonly requests: number;
  /** Computed here for decode instances; prefill instances only. */
  readonly prompts?: number;
  readonly kvBlocks: number;
  readonly kvPeakBlocks: number;
  readonly kvPeakUsage: number;
  readonly preemptions: number;
}

export interface Summary {
  readonly complete: boolean;
  readonly requests: {
    readonly total: number;
    readonly finished: number;
    /** Only when clients went away. */
    readonly aborted?: number;
    readonly rejected?: readonly Rejection[];
  };
  /** First arrival to last token. */
  readonly makespanS: number;
  readonly throughput: {
    readonly requestsPerS: number;
    readonly promptTokensPerS: number;
    readonly outputTokensPerS: number;
  };
  readonly ttftMs: Distribution | null;
  readonly tpotMs: Distribution | null;
  readonly itlMs: Distribution | null;
  readonly latencyMs: Distribution | null;
  readonly queueingMs: Distribution | null;
  readonly iterations: number;
  readonly preemptions: number;
  readonly recomputedTokens: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly prefixHitTokens: number;
  readonly instances: readonly InstanceSummary[];
  /** From prefill to decode instances, in whole blocks. */
  readonly kvTransfers?: { readonly count: number; readonly tokens: number };
  readonly fitted: readonly string[];
  readonly lookups: LookupShare | null;
  /** Why, and whether, to believe the figures. */
  readonly trust: TrustCard;
  /** What limits each instance. */
  readonly saturation: readonly Saturation[];
  /** Only with service levels. */
  readonly slo?: readonly SloSummary[];
  /** Only with KV tiers below the devices. */
  readonly kvTiers?: readonly TierPoolSummary[];
  /** Only when the cluster file has power constants. */
  readonly power?: PowerSummary;
}

/** How latency lookups were answered, over all devices. */
export interface LookupShare {
  readonly total: number;
  readonly extrapolatedShare: number;
  /** Where operator times came from. */
  readonly profiles: readonly ProfileUse[];
}

export interface SummaryContext {
  /** Fitted constants in use, each naming its source. */
  readonly fitted: readonly string[];
  readonly lookups: LookupShare | undefined;
  readonly slo?: SloTargets | undefined;
  /** Absent: nothing is fitted. */
  readonly calibration?: Calibration | undefined;
  /** The calibration replaced the cluster file's links. */
  readonly linksFitted?: boolean | undefined;
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
  const inMs = (pick: (row: RequestResult) => number | null): Distribution | null =>
    distribution(
      finished.flatMap((row) => {
        const value = pick(row);
        return value === null ? [] : [value / nsPerMs];
      }),
    ) ?? null;
  const summary: Omit<Summary, 'trust'> = {
    complete: finished.length + aborted + run.rejections.length === results.length,
    requests: {
      total: results.length,
      finished: finished.length,
      ...(aborted > 0 ? { aborted } : {}),
      ...(run.rejections.length > 0 ? { rejected: run.rejections } : {}),
    },
    makespanS,
    throughput: {
      requestsPerS: perS(finished.length),
      promptTokensPerS: perS(promptTokens),
      outputTokensPerS: perS(outputTokens),
    },
    ttftMs: inMs((row) => row.ttftNs),
    tpotMs: inMs((row) => row.tpotNs),
    itlMs: distribution(run.itlNs.map((gap) => gap / nsPerMs)) ?? null,
    latencyMs: inMs((row) => row.latencyNs),
    queueingMs: inMs((row) => row.queueingNs),
    iterations: run.numIterations,
    preemptions: sum((row) => row.preemptions),
    recomputedTokens: run.states.reduce((total, state) => total + state.recomputedTokens, 0),
    promptTokens,
    outputTokens,
    prefixHitTokens: sum((row) => row.prefixHitTokens),
    instances: run.engines.map((engine) => ({
      name: engine.instance.name,
      model: engine.instance.model.name,
      hardware: engine.instance.hardware,
      requests: results.filter((row) => row.instance === engine.instance.index).length,
      ...(engine.role === 'prefill'
        ? { prompts: run.transfers.prefills.get(engine.index) ?? 0 }
        : {}),
      kvBlocks: engine.budget.numBlocks,
      kvPeakBlocks: engine.kv.peakUsedBlocks,
      kvPeakUsage: engine.kv.peakUsedBlocks / (engine.budget.numBlocks - 1),
      preemptions: engine.scheduler.preemptions,
    })),
    ...(run.transfers.count === 0
      ? {}
      : { kvTransfers: { count: run.transfers.count, tokens: run.transfers.tokens } }),
    fitted: context.fitted,
    lookups: context.lookups ?? null,
    saturation: run.saturation,
    ...sloOf(run, results, context.slo, makespanS),
    ...(pools.length === 0 ? {} : { kvTiers: pools }),
    ...(run.power === undefined ? {} : { power: summarisePower(run.power, results) }),
  };
  return { ...summary, trust: trustOf(summary, run, results, context) };
}

function trustOf(
  summary: Omit<Summary, 'trust'>,
  run: RunResult,
  results: readonly RequestResult[],
  { calibration = noCalibration, lookups, linksFitted = false }: SummaryContext,
): TrustCard {
  const serving = run.engines.map(({ instance }) => ({
    hardware: instance.hardware,
    model: instance.model.name,
  }));
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
    measured: run.measuredLinks,
    fitted: linksFitted,
    assumedPct: calibration.model_form_pct?.link ?? 0,
  };
  return trustCard({
    results,
    requests: run.requests,
    makespanS: summary.makespanS,
    saturation: run.saturation,
    lookups,
    devices: hardware.length,
    fittedDevices: hardware.filter((name) => calibration.devices[name] !== undefined).length,
    intervals90: predictionIntervals(means, serving, calibration, linkError(links)),
    assumedLinksShare: linksFitted || run.measuredLinks !== undefined ? 0 : run.exposedCommShare,
    powerCaps: run.power?.caps,
    measuredLinks: run.measuredLinks,
  });
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
  const overload = summary.trust === undefined ? undefined : overloadLine(summary.trust);
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
  const hitShare = summary.promptTokens > 0 ? summary.prefixHitTokens / summary.promptTokens : 0;
  lines.push(
    '',
    `prefix hits   ${summary.prefixHitTokens} of ${summary.promptTokens} prompt tokens ` +
      `(${(hitShare * 100).toFixed(1)} %)`,
    `preemptions   ${summary.preemptions}, ${summary.recomputedTokens} tokens recomputed`,
  );
  if (summary.kvTransfers !== undefined) {
    const { count, tokens } = summary.kvTransfers;
    lines.push(`KV transfers  ${count}, ${tokens} tokens from prefill to decode instances`);
  }
  for (const instance of summary.instances) {
    const served =
      instance.prompts === undefined
        ? `${instance.requests} requests`
        : `${instance.prompts} prompts`;
    lines.push(
      `${instance.name.padEnd(14)}${instance.model} on ${instance.hardware}: ` +
        `${served}, KV peak ${instance.kvPeakBlocks} of ` +
        `${instance.kvBlocks} blocks (${(instance.kvPeakUsage * 100).toFixed(1)} %)`,
    );
  }
  if (summary.lookups !== null) {
    lines.push(
      `latency       ${summary.lookups.total} lookups, ` +
        `${(summary.lookups.extrapolatedShare * 100).toFixed(2)} % extrapolated`,
    );
  }
  if (summary.kvTiers !== undefined) lines.push(...formatTiers(summary.kvTiers));
  if (summary.power !== undefined) lines.push(...formatPower(summary.power));
  for (const { statement } of summary.saturation) lines.push(`limits        ${statement}`);
  if (summary.slo !== undefined) lines.push(...formatSlo(summary.slo));
  for (const source of summary.fitted) lines.push(`fitted        ${source}`);
  if (summary.trust !== undefined) lines.push(...formatTrustCard(summary.trust));
  return `${lines.join('\n')}\n`;
}
