/**
 * What every KV pool held and gave at the end of each interval: the device pool of each instance and
 * the pools below. Tokens and chunks are counted from the start of the run.
 */
import type { InstanceEngine } from '../instance-engine.js';
import type { TierPool } from './build-tiers.js';

export const tierColumns = [
  'startNs',
  'pool',
  'entries',
  'usedBytes',
  'capacityBytes',
  'queryTokens',
  'hitTokens',
  'evictions',
  'stored',
  'refused',
] as const;

/** Columns are the row's, so a row is a `Row` of a table. */
export interface TierRow extends Readonly<Record<string, number | string>> {
  readonly startNs: number;
  readonly pool: string;
  readonly entries: number;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly queryTokens: number;
  readonly hitTokens: number;
  readonly evictions: number;
  readonly stored: number;
  readonly refused: number;
}

export class TierSeries {
  private readonly intervalNs: number;
  private readonly engines: readonly InstanceEngine[];
  private readonly pools: readonly TierPool[];
  /** Per interval, the rows as they stood at the last record in it. */
  private readonly intervals: TierRow[][] = [];
  /** Before anything has run. */
  private readonly initial: readonly TierRow[];

  constructor(intervalNs: number, engines: readonly InstanceEngine[], pools: readonly TierPool[]) {
    this.intervalNs = intervalNs;
    this.engines = engines;
    this.pools = pools;
    this.initial = this.state(0);
  }

  record(nowNs: number): void {
    const index = Math.floor(nowNs / this.intervalNs);
    // Quiet intervals carry the last state on.
    while (this.intervals.length < index) this.intervals.push(this.carried());
    this.intervals[index] = this.state(index * this.intervalNs);
  }

  /** All intervals, one row a pool each. */
  rows(): TierRow[] {
    return this.intervals.flat();
  }

  /** The state now, one row a pool. */
  latest(): TierRow[] {
    return this.state((this.intervals.length - 1) * this.intervalNs);
  }

  private carried(): TierRow[] {
    const startNs = this.intervals.length * this.intervalNs;
    const last = this.intervals[this.intervals.length - 1] ?? this.initial;
    return last.map((row) => ({ ...row, startNs }));
  }

  private state(startNs: number): TierRow[] {
    return [
      ...this.engines.map((engine) => deviceRow(engine, startNs)),
      ...this.pools.map((pool) => poolRow(pool, this.engines, startNs)),
    ];
  }
}

function deviceRow(engine: InstanceEngine, startNs: number): TierRow {
  const { pool, queryTokens, hitTokens } = engine.kv;
  const ranks = engine.instance.tp;
  return {
    startNs,
    pool: `instance${engine.instance.index}/device`,
    entries: pool.residentBlocks,
    usedBytes: pool.residentBlocks * engine.budget.blockBytes * ranks,
    capacityBytes: (pool.numBlocks - 1) * engine.budget.blockBytes * ranks,
    queryTokens,
    hitTokens,
    evictions: pool.evictions,
    stored: pool.stored,
    refused: 0,
  };
}

function poolRow(pool: TierPool, engines: readonly InstanceEngine[], startNs: number): TierRow {
  let queryTokens = 0;
  let hitTokens = 0;
  for (const index of pool.instances) {
    const tokens = engines[index].traffic?.tiers.tokensIn(pool.store);
    queryTokens += tokens?.queryTokens ?? 0;
    hitTokens += tokens?.hitTokens ?? 0;
  }
  const { store, label } = pool;
  return {
    startNs,
    pool: label,
    entries: store.numEntries,
    usedBytes: store.usedBytes,
    capacityBytes: store.capacityBytes,
    queryTokens,
    hitTokens,
    evictions: store.counters.evictions,
    stored: store.counters.stored,
    refused: store.counters.refused,
  };
}
