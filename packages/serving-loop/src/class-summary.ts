/**
 * What each class of requests saw, so that nobody has to guess who suffers. Only of workloads that
 * have classes: two or more, where requests without one count as one.
 */
import { type Distribution, distributionSchema } from '@astrolabe/base';
import { z } from 'zod';
import { distributionInMs, type RequestResult } from './metrics.js';

const inMs = distributionSchema.nullable().describe('ms; null where no request has one');

export const classSummarySchema = z.strictObject({
  class: z.string().nullable().describe('null: requests without one'),
  requests: z.number().int().nonnegative(),
  finished: z.number().int().nonnegative(),
  ttftMs: inMs,
  tpotMs: inMs,
  latencyMs: inMs,
});
export type ClassSummary = Readonly<z.infer<typeof classSummarySchema>>;

/**
 * @param classes class of each result, in the same order
 * @returns a row per class, by name, requests without one last; none with fewer than two
 */
export function summariseClasses(
  results: readonly RequestResult[],
  classes: readonly (string | undefined)[],
): ClassSummary[] {
  const groups = new Map<string | null, RequestResult[]>();
  results.forEach((row, index) => {
    const name = classes[index] ?? null;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  });
  if (groups.size < 2) return [];
  return [...groups]
    .sort(([a], [b]) => (a === null ? 1 : b === null ? -1 : a < b ? -1 : 1))
    .map(([name, rows]) => summariseClass(name, rows));
}

function summariseClass(name: string | null, rows: readonly RequestResult[]): ClassSummary {
  const finished = rows.filter((row) => row.status === 'finished');
  return {
    class: name,
    requests: rows.length,
    finished: finished.length,
    ttftMs: distributionInMs(finished, (row) => row.ttftNs),
    tpotMs: distributionInMs(finished, (row) => row.tpotNs),
    latencyMs: distributionInMs(finished, (row) => row.latencyNs),
  };
}

/** Columns of the table of classes, for text and pages. */
export const classColumns = [
  'requests',
  'TTFT p50',
  'p99',
  'TPOT p50',
  'p99',
  'latency p50',
  'p99',
] as const;

/** Cells of a class beneath `classColumns`; its name stands before them. */
export function classCells(row: ClassSummary): string[] {
  const { requests, finished, ttftMs, tpotMs, latencyMs } = row;
  const pair = (d: Distribution | null): string[] =>
    d === null ? ['-', '-'] : [d.p50.toFixed(2), d.p99.toFixed(2)];
  const served = finished === requests ? String(requests) : `${finished} of ${requests}`;
  return [served, ...pair(ttftMs), ...pair(tpotMs), ...pair(latencyMs)];
}

/** The name of a class where it stands in a table. */
export function className(row: Pick<ClassSummary, 'class'>): string {
  return row.class ?? '(no class)';
}

/** More would hide what stands above and below; all of them are in `summary.json`. */
const mostLines = 20;

/** A table in ms under the one of all requests; nothing without classes. */
export function formatClasses(classes: readonly ClassSummary[] = []): string[] {
  if (classes.length === 0) return [];
  const shown = classes.slice(0, mostLines);
  const width = Math.max(12, ...shown.map((row) => className(row).length + 1));
  const line = (name: string, cells: readonly string[]): string =>
    name.padEnd(width) + cells.map((cell) => cell.padStart(12)).join('');
  const more = classes.length - shown.length;
  return [
    '',
    line('class, ms', classColumns),
    ...shown.map((row) => line(className(row), classCells(row))),
    ...(more > 0 ? [`... and ${more} more in summary.json`] : []),
  ];
}
