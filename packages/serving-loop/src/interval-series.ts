/**
 * What the service did in each interval of simulated time: tokens credited when their batch ends,
 * queue lengths and KV usage as they stand at the last batch end of the interval.
 */
import { nsPerS, UserError } from '@astrolabe/base';
import type { InstanceEngine } from './instance-engine.js';
import type { Batch } from './scheduler/batch.js';

export interface Interval {
  readonly startNs: number;
  promptTokens: number;
  outputTokens: number;
  running: number;
  waiting: number;
  kvUsage: number;
}

/** Some hundred bytes each and a line in two files; 58 days of seconds. */
export const mostIntervals = 5e6;

/** @throws UserError before any series would outgrow memory */
export function checkIntervals(nowNs: number, intervalNs: number): void {
  if (nowNs < mostIntervals * intervalNs) return;
  throw new UserError(
    `${nowNs / nsPerS} s in intervals of ${intervalNs / nsPerS} s, expected at most ${mostIntervals} intervals`,
    { at: '--interval', hint: 'raise it; `workload convert --start-at-zero` shifts late arrivals' },
  );
}

export class IntervalSeries {
  readonly intervals: Interval[] = [];
  readonly intervalNs: number;

  constructor(intervalNs: number) {
    this.intervalNs = intervalNs;
  }

  /** The tokens of a batch that ends. */
  credit(batch: Batch, nowNs: number): void {
    const interval = this.at(nowNs);
    for (let i = 0; i < batch.requests.length; i++) {
      const request = batch.requests[i];
      const promptLeft = Math.max(0, request.promptTokens - batch.contextTokens[i]);
      interval.promptTokens += Math.min(promptLeft, batch.newTokens[i]);
      if (batch.samples[i]) interval.outputTokens += batch.gained?.[i] ?? 1;
    }
  }

  /** Queues and KV as they stand, to which a batch that ended at `nowNs` has led. */
  record(nowNs: number, engines: readonly InstanceEngine[]): void {
    const interval = this.at(nowNs);
    interval.running = 0;
    interval.waiting = 0;
    let used = 0;
    let blocks = 0;
    for (const engine of engines) {
      interval.running += engine.numRunning;
      interval.waiting += engine.numWaiting;
      used += engine.kv.pool.usedBlocks;
      blocks += engine.kv.pool.numBlocks - 1;
    }
    interval.kvUsage = used / blocks;
  }

  /** The interval that holds this instant; quiet intervals before it carry the last state on. */
  private at(nowNs: number): Interval {
    const index = Math.floor(nowNs / this.intervalNs);
    while (this.intervals.length <= index) {
      const last = this.intervals[this.intervals.length - 1];
      this.intervals.push({
        startNs: this.intervals.length * this.intervalNs,
        promptTokens: 0,
        outputTokens: 0,
        running: last?.running ?? 0,
        waiting: last?.waiting ?? 0,
        kvUsage: last?.kvUsage ?? 0,
      });
    }
    return this.intervals[index];
  }
}
