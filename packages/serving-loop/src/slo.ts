/**
 * Service levels: targets per class of request, the share of requests that met all of theirs, and
 * goodput, the rate of those requests and of their tokens. A request that never finished met nothing.
 */
import { nsPerMs, UserError } from '@astrolabe/base';
import { z } from 'zod';
import type { RequestResult } from './metrics.js';

/** Upper bounds, ns; absent: not asked for. */
interface SloTarget {
  readonly ttftNs?: number;
  readonly tpotNs?: number;
  readonly latencyNs?: number;
}

/** Targets by class; `*` holds for requests of no class, or of a class without its own. */
export type SloTargets = Readonly<Record<string, SloTarget>>;

const byMetric = z.record(z.string(), z.number()).readonly();

export const sloSummarySchema = z.strictObject({
  class: z.string(),
  targetsMs: byMetric,
  requests: z.number(),
  attained: z.number(),
  attainment: z.number(),
  attainmentOf: byMetric.describe('share of requests that met each target by itself'),
  goodputRequestsPerS: z.number(),
  goodputTokensPerS: z.number(),
});
type SloSummary = Readonly<z.infer<typeof sloSummarySchema>>;

const fields = { ttft: 'ttftNs', tpot: 'tpotNs', latency: 'latencyNs' } as const;
type Field = keyof typeof fields;

const nsOf = { ms: 1e6, s: 1e9 } as const;

/**
 * `ttft=200ms,tpot=50ms` for every request, `chat:ttft=1s` for a class, whose name may have colons.
 * @param before targets of flags given earlier, which this one adds to
 * @throws UserError naming what is wrong
 */
export function parseSlo(text: string, before: SloTargets = {}): SloTargets {
  const colon = text.lastIndexOf(':');
  const name = colon < 0 ? '*' : text.slice(0, colon);
  const target: Record<string, number> = Object.hasOwn(before, name) ? { ...before[name] } : {};
  for (const part of text.slice(colon + 1).split(',')) {
    const match = /^\s*(ttft|tpot|latency)\s*=\s*([\d.]+)\s*(ms|s)\s*$/.exec(part);
    const value = Number(match?.[2]);
    if (match === null || !(value > 0)) {
      throw new UserError(`"${part}" is no target`, {
        at: '--slo',
        hint: 'as in chat:ttft=200ms,tpot=50ms,latency=10s',
      });
    }
    const field = fields[match[1] as Field];
    if (target[field] !== undefined) {
      const of = name === '*' ? '' : ` of class ${name}`;
      throw new UserError(`${match[1]}${of} has two targets`, { at: '--slo' });
    }
    target[field] = value * nsOf[match[3] as keyof typeof nsOf];
  }
  return { ...before, [name]: target };
}

/**
 * @param classes class of each result, in the same order
 * @param makespanS over which goodput is a rate
 */
export function summariseSlo(
  results: readonly RequestResult[],
  classes: readonly (string | undefined)[],
  targets: SloTargets,
  makespanS: number,
): SloSummary[] {
  const groups = new Map<string, RequestResult[]>();
  results.forEach((row, index) => {
    const own = classes[index];
    const name = own !== undefined && Object.hasOwn(targets, own) ? own : '*';
    if (!Object.hasOwn(targets, name)) return;
    const group = groups.get(name) ?? [];
    group.push(row);
    groups.set(name, group);
  });
  return [...groups].map(([name, rows]) => summariseClass(name, rows, targets[name], makespanS));
}

function summariseClass(
  name: string,
  rows: readonly RequestResult[],
  target: SloTarget,
  makespanS: number,
): SloSummary {
  const asked = Object.entries(fields).filter(([, field]) => target[field] !== undefined);
  const meets = (row: RequestResult, field: (typeof fields)[Field]): boolean => {
    // One token has no gap between tokens, so it meets any TPOT.
    const value = field === 'tpotNs' && row.outputTokens === 1 ? 0 : row[field];
    return row.status === 'finished' && value !== null && value <= (target[field] ?? Infinity);
  };
  const good = rows.filter((row) => asked.every(([, field]) => meets(row, field)));
  const tokens = good.reduce((sum, row) => sum + row.outputTokens, 0);
  const perS = (amount: number): number => (makespanS > 0 ? amount / makespanS : 0);
  return {
    class: name,
    targetsMs: Object.fromEntries(
      asked.map(([key, field]) => [key, (target[field] ?? 0) / nsPerMs]),
    ),
    requests: rows.length,
    attained: good.length,
    attainment: good.length / rows.length,
    attainmentOf: Object.fromEntries(
      asked.map(([key, field]) => [
        key,
        rows.filter((row) => meets(row, field)).length / rows.length,
      ]),
    ),
    goodputRequestsPerS: perS(good.length),
    goodputTokensPerS: perS(tokens),
  };
}

export function formatSlo(slo: readonly SloSummary[]): string[] {
  return slo.map((row) => {
    const targets = Object.entries(row.targetsMs).map(([name, ms]) => `${name} ${ms} ms`);
    const rest = slo.length > 1 ? 'SLO others' : 'SLO';
    const label = row.class === '*' ? rest : `SLO ${row.class}`;
    return (
      `${label.padEnd(13)} ${row.attained} of ${row.requests} within ${targets.join(', ')} ` +
      `(${(100 * row.attainment).toFixed(1)} %): goodput ` +
      `${row.goodputRequestsPerS.toFixed(2)} requests/s, ` +
      `${row.goodputTokensPerS.toFixed(0)} output tokens/s`
    );
  });
}
