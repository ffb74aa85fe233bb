/** Whether a run was borne: everybody served, targets met often enough, and waiting did not grow. */
import { nsPerS } from '@astrolabe/base';
import { type Summary, summariseCost } from '@astrolabe/serving-loop';
import type { Probe } from './find-capacity.js';

/** One simulated rate; `met` where the service bears it. */
export interface RateRun extends Probe {
  /** What was not met; empty when all was. */
  readonly failed: readonly string[];
  /** Lowest over the classes of requests; null without targets. */
  readonly attainment: number | null;
  readonly requests: number;
  /** Requests/s that clients really sent: with sessions, which wait for their answers, less. */
  readonly sentPerS: number;
  readonly ttftP99Ms: number | null;
  readonly tpotP99Ms: number | null;
  /** As long as requests come, where they are borne; else over the makespan. */
  readonly outputTokensPerS: number;
  /** Null without power constants. */
  readonly energyPerOutputTokenJ: number | null;
  /** In the currency of the cluster file; null without prices. */
  readonly costPerMillionOutputTokens: number | null;
  /** Of the classes with targets the one with the fewest requests; null without targets. */
  readonly smallestClass: { readonly name: string; readonly requests: number } | null;
  /** What limits the instances, each once, from most to fewest. */
  readonly limits: readonly string[];
  /** Whether constants were fitted on real runs, as on the trust card. */
  readonly basis: Summary['trust']['basis'];
  /** How operator times were found, each way once. */
  readonly measurements: readonly string[];
}

/**
 * @param atLeast share of requests that must meet their targets
 * @param sentPerS see `RateRun`
 */
export function judgeRun(
  ratePerS: number,
  summary: Summary,
  atLeast: number,
  sentPerS: number = ratePerS,
): RateRun {
  const { requests, slo = [], trust, ttftMs, tpotMs, throughput, power, cost } = summary;
  const failed: string[] = [];
  const unserved = requests.total - requests.finished;
  if (unserved > 0) failed.push(`${unserved} of ${requests.total} requests not served`);
  for (const { class: name, attainment, attainmentOf } of slo) {
    if (attainment >= atLeast) continue;
    const shares = Object.entries(attainmentOf)
      .filter(([, share]) => share < atLeast)
      .map(([metric, share]) => `${metric} ${percent(share)}`);
    const of = name === '*' ? '' : `${name}: `;
    failed.push(`${of}${shares.join(', ') || `all targets ${percent(attainment)}`}`);
  }
  if (trust.overloaded) failed.push('waiting grows');
  const met = failed.length === 0;
  const { outputTokensPerS } = met ? steady(summary, sentPerS) : throughput;
  return {
    ratePerS,
    met,
    failed,
    attainment: slo.length === 0 ? null : Math.min(...slo.map(({ attainment }) => attainment)),
    requests: requests.total,
    sentPerS,
    ttftP99Ms: ttftMs?.p99 ?? null,
    tpotP99Ms: tpotMs?.p99 ?? null,
    outputTokensPerS,
    energyPerOutputTokenJ: power?.energyPerOutputTokenJ ?? null,
    costPerMillionOutputTokens:
      cost === undefined
        ? null
        : summariseCost(cost.perHour, { ...throughput, outputTokensPerS }).perMillionOutputTokens,
    smallestClass: smallestClass(slo),
    limits: limitsOf(summary),
    basis: trust.basis,
    measurements: [...new Set(trust.profiles?.map(({ measurement }) => measurement))].sort(),
  };
}

/**
 * Of a service that keeps up. Over the makespan it would be less, the more so the shorter the run: when
 * the last requests have come, devices empty.
 */
function steady(
  { outputTokens, requests }: Summary,
  sentPerS: number,
): Pick<Summary['throughput'], 'outputTokensPerS'> {
  return { outputTokensPerS: (outputTokens / requests.finished) * sentPerS };
}

/** Requests a second between the first that was sent and the last; undefined where all came at once. */
export function rateOfSending(arrivalsNs: readonly number[]): number | undefined {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const ns of arrivalsNs) {
    first = Math.min(first, ns);
    last = Math.max(last, ns);
  }
  return last > first ? ((arrivalsNs.length - 1) * nsPerS) / (last - first) : undefined;
}

function smallestClass(slo: NonNullable<Summary['slo']>): RateRun['smallestClass'] {
  if (slo.length === 0) return null;
  const least = slo.reduce((a, b) => (b.requests < a.requests ? b : a));
  return { name: least.class, requests: least.requests };
}

type Limit = Exclude<Summary['saturation'][number]['binds'], 'none'>;

const limitText: Record<Limit, string> = {
  kv: 'KV blocks',
  seats: 'seats',
  budget: 'the token budget',
  links: 'links between devices',
  bandwidth: 'memory bandwidth',
  compute: 'compute',
};

/** Rounded down: a share that is too low must not read as one that is not. */
function percent(share: number): string {
  return `${(Math.floor(1000 * share) / 10).toFixed(1)} %`;
}

function limitsOf({ saturation }: Summary): string[] {
  const counts = new Map<string, number>();
  for (const { binds } of saturation) {
    if (binds === 'none') continue;
    const limit = limitText[binds];
    counts.set(limit, (counts.get(limit) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([binds]) => binds);
}
