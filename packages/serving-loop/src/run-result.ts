/** What a run of the loop leaves behind, for results, summaries and reports. Times ns. */
import type { Request } from '@astrolabe/workload';
import { z } from 'zod';
import type { MeasuredLinksUse } from './communication-count.js';
import type { InstanceEngine } from './instance-engine.js';
import type { IntervalSeries } from './interval-series.js';
import type { TierSeries } from './kv/tier-series.js';
import type { PowerReading } from './power/power-meter.js';
import type { RequestState } from './request-state.js';
import type { Saturation } from './saturation.js';
import type { TokenGaps } from './token-gaps.js';

export const rejectionSchema = z.strictObject({
  request: z.union([z.string(), z.number()]).describe('id in the workload'),
  reason: z.string(),
});
export type Rejection = Readonly<z.infer<typeof rejectionSchema>>;

export interface RunResult {
  readonly requests: readonly Request[];
  readonly states: readonly RequestState[];
  readonly engines: readonly InstanceEngine[];
  readonly series: IntervalSeries;
  readonly tokenGaps: TokenGaps;
  readonly numIterations: number;
  readonly endNs: number;
  /** Undefined unless a node has power constants. */
  readonly power: PowerReading | undefined;
  readonly tiers: TierSeries;
  readonly saturation: readonly Saturation[];
  /** Undefined unless the cluster has measured links. */
  readonly measuredLinks: MeasuredLinksUse | undefined;
  /** Of the time that devices do something in steps, communication alone. */
  readonly exposedCommShare: number;
  /** Of the same, waits for memory below the devices. */
  readonly exposedTiersShare: number;
  /** In workload order; empty unless they were asked for. */
  readonly rejections: readonly Rejection[];
  /** KV hand-overs from prefill to decode instances. */
  readonly transfers: {
    readonly count: number;
    readonly tokens: number;
    /** Prompts computed for decode instances, by prefill instance. */
    readonly prefills: ReadonlyMap<number, number>;
    /** Prompts whose blocks prefill freed before they were fetched. */
    readonly released: number;
  };
}
