/** The only interface that exists for swapping: what runs iterations on the simulated cluster. */
import type { Completion, Counters } from '@astrolabe/system-simulator';
import type { Iteration, Transfer } from '@astrolabe/trace-generator';

export interface Backend {
  /** Queues one iteration behind the earlier ones of its instance. */
  submit(iteration: Iteration): void;
  /** Queues one movement of KV between instances; its completion is on the transfer lane. */
  transfer(transfer: Transfer): void;
  /**
   * The next completion with a finish time of at most `untilNs`, in order of time; `undefined` when
   * that time was reached with nothing finished. Simulated time never passes `untilNs`.
   */
  next(untilNs: number): Promise<Completion | undefined>;
  close(): Promise<Counters | undefined>;
}
