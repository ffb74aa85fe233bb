/** Whether clusters were predicted alike, so that their capacities may be compared. */
import { type ClusterCapacity, threeFigures } from './format-capacities.js';

/** @returns a note where figures beside each other rest on unlike things */
export function unlikeBases(found: readonly ClusterCapacity[]): string[] {
  const notes: string[] = [];
  const bases = groups(found, ({ basis }) => basis);
  if (bases.size > 1) {
    notes.push(
      `constants of real runs are not in all: ${list(bases)}; like with like is --calibration none`,
    );
  }
  const kinds = groups(found, ({ measurements }) => measurements.join(' and ') || undefined);
  if (kinds.size > 1) {
    notes.push(`operator times are of unlike origin: ${list(kinds)}; differences may come of that`);
  }
  return notes;
}

/** @returns a note per cluster whose answer rests on a class in which a single miss is too many */
export function scarceClasses(found: readonly ClusterCapacity[], attainment: number): string[] {
  return found.flatMap(({ cluster, best, beyond }) => {
    const { smallestClass, ratePerS } = best ?? beyond ?? {};
    if (smallestClass == null || ratePerS === undefined || attainment === 1) return [];
    const { name, requests } = smallestClass;
    const needed = 1 / (1 - attainment) - 1e-6;
    if (requests >= needed) return [];
    const of = name === '*' ? '' : ` of class ${name}`;
    return [
      `${cluster}: only ${requests} requests${of} in the run at ${threeFigures(ratePerS)} requests/s, of ` +
        'which none may miss a target: a longer workload would tell more',
    ];
  });
}

/** Requests are sent so much later than asked that the rate in the table is another. */
const lateShare = 0.9;

/** @returns a note per cluster at whose rate clients could not send, as they waited for answers */
export function lateSenders(found: readonly ClusterCapacity[]): string[] {
  return found.flatMap(({ cluster, best }) => {
    if (best === undefined || best.sentPerS >= lateShare * best.ratePerS) return [];
    return [
      `${cluster}: at ${threeFigures(best.ratePerS)} requests/s sessions wait for their answers and ` +
        `users: ${threeFigures(best.sentPerS)} were sent; raise --seconds until both are near`,
    ];
  });
}

type Run = ClusterCapacity['probes'][number];

function groups(
  found: readonly ClusterCapacity[],
  of: (run: Run) => string | undefined,
): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const { cluster, probes } of found) {
    const key = probes.length === 0 ? undefined : of(probes[0]);
    if (key !== undefined) result.set(key, [...(result.get(key) ?? []), cluster]);
  }
  return result;
}

function list(clusters: ReadonlyMap<string, readonly string[]>): string {
  return [...clusters].map(([what, names]) => `${names.join(', ')} ${what}`).join('; ');
}
