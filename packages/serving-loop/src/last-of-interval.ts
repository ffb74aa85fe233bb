/**
 * Calls for a record of the state after the last batch end of every interval, and of few others: to
 * look at all engines at every batch end would take most of the time with a thousand of them. Times ns.
 */
export class LastOfInterval {
  private readonly intervalNs: number;
  private readonly record: (endNs: number) => void;
  /** The last batch end while nothing has happened since; -1: its state is recorded. */
  private pendingNs = -1;

  constructor(intervalNs: number, record: (endNs: number) => void) {
    this.intervalNs = intervalNs;
    this.record = record;
  }

  /**
   * Something is about to change the state.
   * @param nextEndNs the end of a batch, if it is that and nothing else; undefined: something else
   */
  before(nextEndNs: number | undefined): void {
    if (this.pendingNs < 0) return;
    if (nextEndNs !== undefined && this.interval(nextEndNs) === this.interval(this.pendingNs))
      return;
    const endNs = this.pendingNs;
    this.pendingNs = -1;
    this.record(endNs);
  }

  /** The state is what the end of a batch has led to. */
  ended(endNs: number): void {
    this.pendingNs = endNs;
  }

  private interval(timeNs: number): number {
    return Math.floor(timeNs / this.intervalNs);
  }
}
