/** Capacities as a table for people: a line per cluster, with what stands in the way of more. */
import type { Capacity } from './find-capacity.js';
import type { RateRun } from './judge-run.js';

/** What one cluster bears. */
export interface ClusterCapacity extends Capacity<RateRun> {
  /** As the user named it. */
  readonly cluster: string;
  readonly devices: number;
}

export interface Asked {
  readonly workload: string;
  readonly seconds: number;
  readonly attainment: number;
  /** Whether there were targets at all. */
  readonly targets: boolean;
}

export function formatCapacities(found: readonly ClusterCapacity[], asked: Asked): string {
  const withPower = found.some(({ best }) => best?.energyPerOutputTokenJ != null);
  const withCost = found.some(({ best }) => best?.costPerMillionOutputTokens != null);
  const head = [
    'cluster',
    'requests/s',
    'a device',
    'TTFT p99 ms',
    'TPOT p99 ms',
    'output tokens/s',
    ...(withPower ? ['J/output token'] : []),
    ...(withCost ? ['cost/M output tokens'] : []),
    'more fails by',
  ];
  const rows = found.map((one) => row(one, withPower, withCost));
  const lines = align([head, ...rows]);
  return `${[question(asked), '', ...lines].join('\n')}\n`;
}

function question({ workload, seconds, attainment, targets }: Asked): string {
  const met = targets
    ? `${Number((100 * attainment).toPrecision(6))} % of requests meet their targets and `
    : '';
  return `Highest rate of ${workload} (${seconds} s of arrivals a run) at which ${met}waiting does not grow`;
}

function row(
  { cluster, devices, best, beyond }: ClusterCapacity,
  withPower: boolean,
  withCost: boolean,
): string[] {
  const cost = best?.costPerMillionOutputTokens;
  const figure = (value: number | null | undefined, digits: number): string =>
    value == null ? '-' : value.toFixed(digits);
  return [
    cluster,
    best === undefined ? '-' : threeFigures(best.ratePerS),
    best === undefined ? '-' : threeFigures(best.ratePerS / devices),
    figure(best?.ttftP99Ms, 0),
    figure(best?.tpotP99Ms, 1),
    figure(best?.outputTokensPerS, 0),
    ...(withPower ? [figure(best?.energyPerOutputTokenJ, 3)] : []),
    ...(withCost ? [cost == null ? '-' : threeFigures(cost)] : []),
    beyond === undefined ? 'nothing up to here' : reasons(beyond),
  ];
}

function reasons({ ratePerS, failed, limits }: RateRun): string {
  const limit = limits.length === 0 ? '' : ` (limited by ${limits.join(', ')})`;
  return `${failed.join('; ')} at ${threeFigures(ratePerS)}${limit}`;
}

/** Rates are tried at three figures or at powers of two. */
export function threeFigures(value: number): string {
  return String(value >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}

/** First and last column to the left, figures to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((cells) => cells[i].length)));
  const last = widths.length - 1;
  return rows.map((cells) =>
    cells
      .map((cell, i) => {
        if (i === last) return cell;
        return i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]);
      })
      .join('  '),
  );
}
