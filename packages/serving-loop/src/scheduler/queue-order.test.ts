/** Who goes first and who has to go; equal priorities by arrival, then by place in the workload. */
import { describe, expect, it } from 'vitest';
import { RequestState } from '../request-state.js';
import { queueOrders } from './queue-order.js';

function state(index: number, priority: number, arrivalNs: number): RequestState {
  const request = new RequestState(index, 4, 4, arrivalNs);
  request.priority = priority;
  return request;
}

/** A later call of a session may stand earlier in the workload. */
const requests = [state(0, 1, 50), state(1, 1, 20), state(2, 0, 90), state(3, 1, 20)];
const indices = (list: readonly RequestState[]): number[] => list.map(({ index }) => index);

describe('priority', () => {
  const { add, victim } = queueOrders.priority;

  it('queues by priority, arrival, index', () => {
    for (const order of [requests, [...requests].reverse()]) {
      const waiting: RequestState[] = [];
      for (const request of order) add(waiting, request);
      expect(indices(waiting)).toEqual([2, 1, 3, 0]);
    }
  });

  it('preempts whom it would serve last', () => {
    expect(victim(requests)).toBe(0);
    expect(victim(requests.slice(1))).toBe(2);
    expect(victim([requests[2]])).toBe(0);
  });
});

describe('first come first served', () => {
  const { add, putBack, victim } = queueOrders.fcfs;

  it('queues at the end, puts back at the front and preempts from the tail', () => {
    const waiting: RequestState[] = [];
    for (const request of requests.slice(0, 3)) add(waiting, request);
    putBack(waiting, requests[3]);
    expect(indices(waiting)).toEqual([3, 0, 1, 2]);
    expect(victim(waiting)).toBe(3);
  });
});
