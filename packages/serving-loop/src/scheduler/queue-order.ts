/**
 * Who goes first and who has to go, by vLLM's scheduling policies: first come first served queues and
 * preempts from the tail; priority runs lower numbers first and preempts the least urgent, latest
 * request.
 */
import type { RequestState } from '../request-state.js';

export interface QueueOrder {
  /** Adds a new request. */
  add(waiting: RequestState[], request: RequestState): void;
  /** Puts a preempted request back. */
  putBack(waiting: RequestState[], request: RequestState): void;
  /** Position of the running request to preempt. */
  victim(running: readonly RequestState[]): number;
}

export const queueOrders = {
  fcfs: {
    add: (waiting, request) => void waiting.push(request),
    putBack: (waiting, request) => void waiting.unshift(request),
    victim: (running) => running.length - 1,
  },
  priority: {
    add: insert,
    putBack: insert,
    victim: (running) => {
      let last = 0;
      for (let i = 1; i < running.length; i++) if (before(running[last], running[i])) last = i;
      return last;
    },
  },
} satisfies Record<string, QueueOrder>;

function before(a: RequestState, b: RequestState): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority;
  if (a.arrivalNs !== b.arrivalNs) return a.arrivalNs < b.arrivalNs;
  return a.index < b.index;
}

function insert(waiting: RequestState[], request: RequestState): void {
  let at = waiting.length;
  while (at > 0 && before(request, waiting[at - 1])) at--;
  waiting.splice(at, 0, request);
}
