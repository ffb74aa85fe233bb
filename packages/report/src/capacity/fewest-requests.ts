/**
 * How many requests a run needs before its attainment says anything: where few may miss their targets,
 * a single long prompt decides the rate, and a longer run would find another.
 */
import type { Request } from '@astrolabe/workload';

/** A class that is rarer than that is told of, not waited for. */
const most = 10_000;
/** Of a class, when it has just met its targets; its share then is right within a third. */
const misses = 10;

/**
 * @param targets classes with targets of their own; `*`: those of all others
 * @returns requests of which ten of every class with targets may miss, as far as the workload's shares
 *   go, but not more than it has: coming again, they tell nothing new. 0 without targets
 */
export function fewestToJudge(
  requests: readonly Pick<Request, 'sloClass'>[],
  targets: readonly string[],
  attainment: number,
): number {
  const counts = new Map<string, number>();
  for (const { sloClass = '*' } of requests) {
    const name = targets.includes(sloClass) ? sloClass : '*';
    if (targets.includes(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  if (counts.size === 0) return 0;
  const share = Math.min(...counts.values()) / requests.length;
  // 1 - 0.99 is a little less than 0.01 in floating point; nobody means that.
  const enough = Math.ceil(misses / (1 - attainment) / share - 1e-6);
  return Math.min(requests.length, most, enough);
}
