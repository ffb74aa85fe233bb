/**
 * The same workload at another rate, for as long as asked: gaps between arrivals are stretched or
 * squeezed alike, and a workload that is too short for it comes again, with content of its own each
 * time, so that repetition adds no prefix hits. Think time stays what it is.
 */
import { assert, nsPerS, UserError } from '@astrolabe/base';
import type { Request, RequestId } from './request.js';

/** Requests arrive at one per so many ns on average; the last gap counts as an average one. */
export function meanGapNs(requests: readonly Request[]): number {
  const spanNs = requests[requests.length - 1].arrivalNs - requests[0].arrivalNs;
  if (requests.length < 2 || spanNs === 0) {
    throw new UserError('all requests arrive at one time, which is no rate to change', {
      hint: 'a workload needs two arrival times or more',
    });
  }
  return spanNs / (requests.length - 1);
}

/** More would not fit into memory. */
const mostRequests = 1e7;

/**
 * @param requests validated and in order of arrival, as `readWorkload` returns them
 * @returns `ratePerS` x `seconds` requests (rounded, at least one) that arrive at that rate on
 *   average, the first at 0; a part of the workload, all, or several times all of it
 * @throws UserError requests without a rate; too many of them; arrivals beyond 2^53 ns
 */
export function atRate(requests: readonly Request[], ratePerS: number, seconds: number): Request[] {
  assert(ratePerS > 0 && seconds > 0, 'a rate and a duration are positive');
  const gapNs = meanGapNs(requests);
  const scale = nsPerS / ratePerS / gapNs;
  const firstNs = requests[0].arrivalNs;
  const roundNs = gapNs * requests.length;
  const count = Math.max(1, Math.round(ratePerS * seconds));
  if (count > mostRequests) {
    throw new UserError(
      `${ratePerS} requests/s for ${seconds} s are ${count} requests, expected at most ${mostRequests}`,
    );
  }
  const made = Array.from({ length: count }, (_, i) => {
    const round = Math.floor(i / requests.length);
    const request = requests[i % requests.length];
    const arrivalNs = Math.round((request.arrivalNs - firstNs + round * roundNs) * scale);
    return round === 0 ? { ...request, arrivalNs } : again(request, round, arrivalNs);
  });
  const lastNs = made[count - 1].arrivalNs;
  if (!Number.isSafeInteger(lastNs)) {
    throw new UserError(`arrivals up to ${lastNs} ns, more than 2^53 (104 days)`);
  }
  return made;
}

/** The request of a later round: it refers to its own round, and its content equals no other's. */
function again(request: Request, round: number, arrivalNs: number): Request {
  const own = (id: RequestId): string => `${id} (${round + 1})`;
  const { prefix, after, session, promptTokenIds, outputTokenIds } = request;
  return {
    ...request,
    id: own(request.id),
    arrivalNs,
    ...(prefix && { prefix: { ...prefix, of: own(prefix.of) } }),
    ...(after && { after: after.map(own) }),
    ...(session !== undefined && { session: own(session) }),
    ...(promptTokenIds && { promptTokenIds: otherIds(promptTokenIds, round) }),
    ...(outputTokenIds && { outputTokenIds: otherIds(outputTokenIds, round) }),
  };
}

/**
 * One to one, so what was shared within a round still is; a real vocabulary never reaches them. The
 * upper 11 bits tell 2048 rounds apart, and the lower ones the turns after that.
 */
function otherIds(ids: readonly number[], round: number): number[] {
  const mask = ((round << 20) ^ (round >>> 11)) & 0x7fffffff;
  return ids.map((id) => id ^ mask);
}
