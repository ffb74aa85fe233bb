/** Clients that go away when their answer is not complete in time; all wait equally long. */
import type { RequestState } from './request-state.js';

export class ClientTimeouts {
  private readonly patienceNs: number;
  /** In order of arrival, so in order of their ends. */
  private readonly waiting: RequestState[] = [];
  private head = 0;

  /** @param patienceNs undefined: clients wait for ever */
  constructor(patienceNs: number | undefined) {
    this.patienceNs = patienceNs ?? Number.POSITIVE_INFINITY;
  }

  add(request: RequestState): void {
    if (this.patienceNs !== Number.POSITIVE_INFINITY) this.waiting.push(request);
  }

  /** When the next client loses patience. */
  get nextNs(): number {
    while (this.head < this.waiting.length && this.waiting[this.head].hasEnded) this.head++;
    const next = this.waiting[this.head];
    return next === undefined ? Number.POSITIVE_INFINITY : next.arrivalNs + this.patienceNs;
  }

  /** The requests whose clients have gone by now. */
  take(nowNs: number): RequestState[] {
    const gone: RequestState[] = [];
    while (this.nextNs <= nowNs) gone.push(this.waiting[this.head++]);
    return gone;
  }
}
