/**
 * What limits each instance. While requests wait, every step records what kept the first of them
 * out: KV blocks, seats (max_num_seqs) or the token budget. When nobody waits, the device's time
 * decides: near its memory bandwidth, or computing. The statement names the first that holds:
 *
 *   kv         a request waited for blocks, or one was preempted, in a tenth of the steps or more
 *   seats      ... for a seat
 *   budget     ... for the token budget: prefill computes as much as a step may hold
 *   bandwidth  the device was busy nine tenths of the time, half of it or more moving its memory
 *   compute    ... and less than half
 *   none       the device had time left
 */
import { nsPerS } from '@astrolabe/base';
import type { Cluster } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import { z } from 'zod';
import type { InstanceEngine } from './instance-engine.js';
import { deviceTraffic, type TrafficModel } from './power/memory-traffic.js';

const shareThatBinds = 0.1;
const busyThatBinds = 0.9;
const bandwidthThatBinds = 0.5;

export const bindings = ['kv', 'seats', 'budget', 'bandwidth', 'compute', 'none'] as const;
export type Binding = (typeof bindings)[number];

export const bindingSchema = z.enum(bindings);

export const saturationSchema = z.strictObject({
  instance: z.string(),
  binds: bindingSchema,
  waitedFor: z
    .strictObject({ kv: z.number(), seats: z.number(), budget: z.number() })
    .readonly()
    .describe('shares of steps in which a request was kept out, by what'),
  busy: z
    .number()
    .describe('share of the time from the first step to the last in which a step ran'),
  bandwidth: z
    .number()
    .describe("share of busy time that the device's memory would need at its nominal bandwidth"),
  statement: z.string(),
});
export type Saturation = Readonly<z.infer<typeof saturationSchema>>;

interface Load {
  readonly traffic: TrafficModel;
  readonly pending: number[];
  busyNs: number;
  memoryNs: number;
  firstNs: number;
  lastNs: number;
}

/** Follows steps as the power meter does: after the fact, changing nothing. */
export class LoadMonitor {
  private readonly cluster: Cluster;
  private readonly loads: Load[];

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.loads = cluster.instances.map((instance) => ({
      traffic: deviceTraffic(instance),
      pending: [],
      busyNs: 0,
      memoryNs: 0,
      firstNs: -1,
      lastNs: 0,
    }));
  }

  onIteration(iteration: Iteration): void {
    if (iteration.moves !== undefined) return;
    const load = this.loads[iteration.instance];
    const { bandwidthGBps } = this.cluster.instances[iteration.instance].memory;
    const bytes = Math.max(...load.traffic(iteration));
    load.pending.push(bytes / bandwidthGBps);
  }

  onCompletion(completion: Completion): void {
    if (completion.lane !== 0) return;
    const load = this.loads[completion.instance];
    const memoryNs = load.pending.shift() ?? 0;
    if (load.firstNs < 0) load.firstNs = completion.startNs;
    const from = Math.max(completion.startNs, load.lastNs);
    const busyNs = Math.max(0, completion.finishNs - from);
    load.busyNs += busyNs;
    load.memoryNs += Math.min(memoryNs, busyNs);
    load.lastNs = Math.max(load.lastNs, completion.finishNs);
  }

  report(engines: readonly InstanceEngine[]): Saturation[] {
    return engines.map((engine, index) => saturationOf(engine, this.loads[index]));
  }
}

function saturationOf(engine: InstanceEngine, load: Load): Saturation {
  const { steps, kv, seats, budget } = engine.scheduler.keptOut;
  const share = (count: number): number => (steps > 0 ? count / steps : 0);
  const waitedFor = { kv: share(kv), seats: share(seats), budget: share(budget) };
  const spanNs = load.lastNs - Math.max(0, load.firstNs);
  const busy = spanNs > 0 ? load.busyNs / spanNs : 0;
  const bandwidth = load.busyNs > 0 ? load.memoryNs / load.busyNs : 0;
  const binds = bindingOf(waitedFor, busy, bandwidth);
  const { name } = engine.instance;
  const statement = `${name}: ${sentence(binds, engine, waitedFor, load.busyNs, busy, bandwidth)}`;
  return { instance: name, binds, waitedFor, busy, bandwidth, statement };
}

function bindingOf(waitedFor: Saturation['waitedFor'], busy: number, bandwidth: number): Binding {
  const limit = (['kv', 'seats', 'budget'] as const)
    .filter((name) => waitedFor[name] >= shareThatBinds)
    .sort((a, b) => waitedFor[b] - waitedFor[a])[0];
  if (limit !== undefined) return limit;
  if (busy < busyThatBinds) return 'none';
  return bandwidth >= bandwidthThatBinds ? 'bandwidth' : 'compute';
}

function sentence(
  binds: Binding,
  engine: InstanceEngine,
  waitedFor: Saturation['waitedFor'],
  busyNs: number,
  busy: number,
  bandwidth: number,
): string {
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  const { maxNumSeqs, maxNumBatchedTokens } = engine.instance.engine;
  const steps = (limit: keyof typeof waitedFor): string =>
    `${percent(waitedFor[limit])} of the steps`;
  const device =
    `busy ${percent(busy)} (${(busyNs / nsPerS).toFixed(1)} s), ` +
    `device memory ${percent(bandwidth)} of that`;
  switch (binds) {
    case 'kv':
      return `KV blocks bind: requests waited for them in ${steps('kv')}; ${device}`;
    case 'seats':
      return `seats bind (max_num_seqs ${maxNumSeqs}): waited for in ${steps('seats')}; ${device}`;
    case 'budget':
      return (
        `compute binds: prompts waited for the token budget of ${maxNumBatchedTokens} ` +
        `in ${steps('budget')}; ${device}`
      );
    case 'bandwidth':
      return `device memory bandwidth binds; ${device}`;
    case 'compute':
      return `compute binds; ${device}`;
    default:
      return `nothing binds; ${device}`;
  }
}
