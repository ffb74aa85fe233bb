/**
 * The highest rate that a service bears: probes are whole simulations, so as few as possible. Without
 * a range rates double (or halve) from 1 a second until one is borne and the next is not, with one
 * they double from its lower end: a rate far too high takes longest to simulate. Then the geometric
 * middle is tried until both are as close as asked.
 */
import { assert } from '@astrolabe/base';

export interface Probe {
  readonly ratePerS: number;
  readonly met: boolean;
}

export interface Search {
  /** Rates to look between, requests/s; absent: wherever the limit is. */
  readonly range?: readonly [low: number, high: number] | undefined;
  /** Stop when the lowest rate that is not borne is within this share of the highest that is. */
  readonly precision: number;
}

export interface Capacity<P extends Probe> {
  /** At the highest rate that was borne; undefined: none was. */
  readonly best: P | undefined;
  /** At the lowest rate above it that was not; undefined: every rate was borne. */
  readonly beyond: P | undefined;
  readonly probes: readonly P[];
}

/** Rates that are looked at without a range, requests/s. */
const lowest = 2 ** -10;
const highest = 2 ** 14;

export async function findCapacity<P extends Probe>(
  probe: (ratePerS: number) => Promise<P>,
  { range, precision }: Search,
): Promise<Capacity<P>> {
  assert(precision > 0, 'a precision is positive');
  const probes: P[] = [];
  let best: P | undefined;
  let beyond: P | undefined;
  const look = async (ratePerS: number): Promise<void> => {
    const found = await probe(ratePerS);
    probes.push(found);
    if (found.met) best = found;
    else beyond = found;
  };
  const [first, last] = range ?? [1, highest];
  const step = range === undefined ? 2 : Math.max(2, 1 + precision);
  await look(first);
  while (beyond === undefined && rateOf(best) < last) {
    await look(Math.min(last, step * rateOf(best)));
  }
  while (range === undefined && best === undefined && rateOf(beyond) > lowest) {
    await look(rateOf(beyond) / 2);
  }
  while (best !== undefined && beyond !== undefined) {
    const [low, high] = [best.ratePerS, beyond.ratePerS];
    const middle = rounded(Math.sqrt(low * high));
    if (high / low <= 1 + precision || middle <= low || middle >= high) break;
    await look(middle);
  }
  return { best, beyond, probes };
}

function rateOf(probe: Probe | undefined): number {
  assert(probe !== undefined, 'nothing was probed');
  return probe.ratePerS;
}

/** Three figures: nobody asks for more, and they can be typed again. */
function rounded(ratePerS: number): number {
  return Number(ratePerS.toPrecision(3));
}
