/** Whether clusters were predicted alike, so that their capacities may be compared. */
import type { ClusterCapacity } from './format-capacities.js';

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
