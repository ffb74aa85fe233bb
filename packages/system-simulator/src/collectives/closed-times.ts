/**
 * When each member of a one-chunk collective ends, from when each began, without a single message:
 * exact wherever messages do not disturb each other. What the message engine of phase.ts computes
 * step by step; a property test holds the two together. Times ns.
 */
import { CollectiveKind, sendsOf } from './phase.js';

export interface StepTimes {
  /** Endpoint delay of a packet. */
  readonly endpointNs: number;
  /** Reduction of a packet. */
  readonly reduceNs: number;
  /** Delay of member i's message to member i + 1 (ring). */
  readonly hopNs: Float64Array;
  /** All hops are alike. */
  readonly uniform: boolean;
}

/** Rounds of the ring that reduce before they send: after the first message, N - 1 of them. */
function reducingRounds(kind: CollectiveKind, n: number): number {
  return kind === CollectiveKind.allReduce || kind === CollectiveKind.reduceScatter ? n - 1 : 0;
}

/**
 * Duration, ns, of a ring whose members begin together and whose hops are alike: every message passes
 * an endpoint before it is sent and the last one another, so with s sends and r reductions
 * (s + 1) endpoint + s hop + r reduction.
 */
export function uniformRingNs(kind: CollectiveKind, n: number, step: StepTimes): number {
  const sends = sendsOf(kind, 'ring', n);
  const reductions = reducingRounds(kind, n) * step.reduceNs;
  return (sends + 1) * step.endpointNs + sends * step.hopNs[0] + reductions;
}

/**
 * Turns the begin times into end times, in place. Member i sends round k when it has its answer of
 * round k - 1 and has passed the endpoint; its answer is member i - 1's message of the same round.
 */
export function ringTimes(kind: CollectiveKind, step: StepTimes, times: Float64Array): void {
  const n = times.length;
  const { endpointNs, reduceNs, hopNs } = step;
  const sends = sendsOf(kind, 'ring', n);
  const reducing = reducingRounds(kind, n);
  for (let i = 0; i < n; i++) times[i] += endpointNs;
  for (let k = 1; k <= sends; k++) {
    const extra = endpointNs + (k <= reducing ? reduceNs : 0);
    let before = times[n - 1] + hopNs[n - 1];
    for (let i = 0; i < n; i++) {
      const own = times[i];
      times[i] = Math.max(before, own) + extra;
      before = own + hopNs[i];
    }
  }
}

/**
 * `direct` with a full window, all but the all-reduce: everybody sends to everybody at once. Turns
 * begin times into end times, in place.
 * @param delayNs of a message from member i to member j
 */
export function directTimes(
  kind: CollectiveKind,
  endpointNs: number,
  reduceNs: number,
  delayNs: (from: number, to: number) => number,
  times: Float64Array,
): void {
  const n = times.length;
  const begin = times.slice();
  const extra = endpointNs + (kind === CollectiveKind.reduceScatter ? reduceNs : 0);
  for (let i = 0; i < n; i++) {
    let last = begin[i] + endpointNs;
    for (let j = 0; j < n; j++) {
      if (j !== i) last = Math.max(last, begin[j] + endpointNs + delayNs(j, i));
    }
    times[i] = last + extra;
  }
}
