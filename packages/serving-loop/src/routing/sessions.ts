/**
 * Which conversation a request belongs to: its `session`, else that of the request it follows, else
 * its own. Keys are strings, so that a session "3" and a request 3 stay apart.
 */
import type { Request, RequestId } from '@astrolabe/workload';

/** One key per request, in workload order; parents come before their followers. */
export function sessionKeys(requests: readonly Request[]): string[] {
  const keyOf = new Map<RequestId, string>();
  return requests.map((request) => {
    const parent = request.after?.[0];
    const inherited = parent === undefined ? undefined : keyOf.get(parent);
    const key =
      request.session === undefined
        ? (inherited ?? `request ${request.id}`)
        : `session ${request.session}`;
    keyOf.set(request.id, key);
    return key;
  });
}
