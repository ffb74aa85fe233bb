/**
 * When requests reach the service: at their own time, or a think time after the last of the requests
 * they follow has finished. A binary heap on (time, index), so equal times keep workload order.
 */
import type { Request } from '@astrolabe/workload';
import type { RequestState } from './request-state.js';

export class Arrivals {
  private readonly heap: RequestState[] = [];
  private readonly followers = new Map<number, number[]>();
  private readonly missingParents: Int32Array;
  private readonly requests: readonly Request[];
  private readonly states: readonly RequestState[];

  constructor(requests: readonly Request[], states: readonly RequestState[]) {
    this.requests = requests;
    this.states = states;
    this.missingParents = new Int32Array(requests.length);
    const indexOf = new Map(requests.map((request, index) => [request.id, index]));
    requests.forEach((request, index) => {
      const parents = request.after ?? [];
      this.missingParents[index] = parents.length;
      for (const parent of parents) {
        const parentIndex = indexOf.get(parent) as number;
        const list = this.followers.get(parentIndex) ?? [];
        list.push(index);
        this.followers.set(parentIndex, list);
      }
      if (parents.length === 0) this.push(states[index]);
    });
  }

  get nextNs(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0].arrivalNs;
  }

  pop(): RequestState | undefined {
    const top = this.heap[0];
    const last = this.heap.pop();
    if (last !== undefined && top !== last) this.sink(last);
    return top;
  }

  /** Starts the clock of requests that follow this one. */
  finished(index: number, nowNs: number): void {
    for (const follower of this.followers.get(index) ?? []) {
      if (--this.missingParents[follower] > 0) continue;
      const state = this.states[follower];
      const request = this.requests[follower];
      state.arrivalNs = Math.max(request.arrivalNs, nowNs + (request.thinkNs ?? 0));
      this.push(state);
    }
  }

  private push(state: RequestState): void {
    const heap = this.heap;
    let i = heap.length;
    heap.push(state);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(heap[parent], state)) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = state;
  }

  private sink(state: RequestState): void {
    const heap = this.heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (before(state, heap[child])) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = state;
  }
}

function before(a: RequestState, b: RequestState): boolean {
  return a.arrivalNs < b.arrivalNs || (a.arrivalNs === b.arrivalNs && a.index < b.index);
}
