/** For carriers whose machine tells ends out of order. */
import type { Completion } from '@astrolabe/system-simulator';

/** Takes the earliest completion at or before `untilNs` out of the list; of equal ones the first. */
export function takeEarliest(completions: Completion[], untilNs: number): Completion | undefined {
  let best = -1;
  completions.forEach(({ finishNs }, index) => {
    if (finishNs > untilNs) return;
    if (best < 0 || finishNs < completions[best].finishNs) best = index;
  });
  return best < 0 ? undefined : completions.splice(best, 1)[0];
}
