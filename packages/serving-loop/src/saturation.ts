/**
 * What limits each instance. While requests wait, every step records what kept the first of them
 * out: KV blocks, seats (max_num_seqs) or the token budget. When nobody waits, the device's time
 * decides: near its memory bandwidth, or computing. The statement names the first that holds:
 *
 *   kv         a request waited for blocks, or one was preempted, in a tenth of the steps or more
 *   seats      ... for a seat
 *   budget     ... for the token budget: prefill computes as much as a step may hold
 *   links      the device was busy nine tenths of the time, half of it or more with communication alone
 *   bandwidth  the device was busy nine tenths of the time, and of what was not communication alone
 *              half or more went into its memory at nominal bandwidth and waits for memory below it;
 *              of pipeline stages and devices that take turns, of the time in which one works
 *   compute    ... and less than half
 *   none       the device had time left
 */
import { nsPerS } from '@astrolabe/base';
import { type Cluster, type Instance, memoryOfStage } from '@astrolabe/config';
import type { Completion } from '@astrolabe/system-simulator';
import type { Iteration } from '@astrolabe/trace-generator';
import { z } from 'zod';
import type { InstanceEngine } from './instance-engine.js';
import { deviceTraffic, type TrafficModel } from './power/memory-traffic.js';

const shareThatBinds = 0.1;
const busyThatBinds = 0.9;
const bandwidthThatBinds = 0.5;
const communicationThatBinds = 0.5;
/** Shares below this are not said. */
const worthSaying = 0.01;

const bindings = ['kv', 'seats', 'budget', 'links', 'bandwidth', 'compute', 'none'] as const;
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
  communication: z
    .number()
    .optional()
    .describe('share of busy time that is communication alone; only from 1 % on'),
  tiers: z
    .number()
    .optional()
    .describe('share of busy time that is waiting for memory below the device; only from 1 % on'),
  statement: z.string(),
});
export type Saturation = Readonly<z.infer<typeof saturationSchema>>;

interface Load {
  readonly traffic: TrafficModel;
  readonly bandwidthsGBps: readonly number[];
  readonly pending: number[];
  busyNs: number;
  /** The same, of all its NPUs. */
  busyNpuNs: number;
  memoryNs: number;
  /** Of all its NPUs: doing something, communication alone, memory below the device alone. */
  activeNs: number;
  communicationNs: number;
  tiersNs: number;
  firstNs: number;
  lastNs: number;
}

/** Follows steps as the power meter does: after the fact, changing nothing. */
export class LoadMonitor {
  private readonly loads: Load[];

  constructor(cluster: Cluster) {
    this.loads = cluster.instances.map((instance) => ({
      traffic: deviceTraffic(instance),
      bandwidthsGBps: bandwidthsOf(instance),
      pending: [],
      busyNs: 0,
      busyNpuNs: 0,
      memoryNs: 0,
      activeNs: 0,
      communicationNs: 0,
      tiersNs: 0,
      firstNs: -1,
      lastNs: 0,
    }));
  }

  onIteration(iteration: Iteration): void {
    if (iteration.moves !== undefined) return;
    const load = this.loads[iteration.instance];
    const bandwidths = load.bandwidthsGBps;
    const times = load.traffic(iteration).map((bytes, part) => bytes / bandwidths[part]);
    load.pending.push(Math.max(...times));
  }

  onCompletion(completion: Completion): void {
    if (completion.lane !== 0) return;
    const load = this.loads[completion.instance];
    const memoryNs = load.pending.shift() ?? 0;
    if (load.firstNs < 0) load.firstNs = completion.startNs;
    const from = Math.max(completion.startNs, load.lastNs);
    const busyNs = Math.max(0, completion.finishNs - from);
    load.busyNs += busyNs;
    load.busyNpuNs += busyNs * completion.npus.length;
    load.memoryNs += Math.min(memoryNs, busyNs);
    load.lastNs = Math.max(load.lastNs, completion.finishNs);
    for (const { computeNs, exposedCommNs, exposedMemoryNs } of completion.npus) {
      load.activeNs += computeNs + exposedCommNs + exposedMemoryNs;
      load.communicationNs += exposedCommNs;
      load.tiersNs += exposedMemoryNs;
    }
  }

  report(engines: readonly InstanceEngine[]): Saturation[] {
    return engines.map((engine, index) => saturationOf(engine, this.loads[index]));
  }
}

/** Of the devices whose bytes `deviceTraffic` counts: of every stage, then of feed-forward blocks. */
function bandwidthsOf(instance: Instance): number[] {
  const stages = Array.from({ length: instance.pp }, (_, stage) => memoryOfStage(instance, stage));
  const all = instance.ffn === undefined ? stages : [...stages, instance.ffn.memory];
  return all.map(({ bandwidthGBps }) => bandwidthGBps);
}

/** Of a run's steps, and of busy time. */
interface Shares {
  readonly waitedFor: Saturation['waitedFor'];
  readonly busy: number;
  readonly bandwidth: number;
  readonly communication: number;
  readonly tiers: number;
}

function saturationOf(engine: InstanceEngine, load: Load): Saturation {
  const { steps, ...keptOut } = engine.scheduler.keptOut;
  const share = (part: number, of: number): number => (of > 0 ? part / of : 0);
  const shares: Shares = {
    waitedFor: {
      kv: share(keptOut.kv, steps),
      seats: share(keptOut.seats, steps),
      budget: share(keptOut.budget, steps),
    },
    busy: share(load.busyNs, load.lastNs - Math.max(0, load.firstNs)),
    bandwidth: share(load.memoryNs, load.busyNs),
    communication: share(load.communicationNs, load.activeNs),
    tiers: share(load.tiersNs, load.activeNs),
  };
  const { waitedFor, busy, bandwidth, communication, tiers } = shares;
  const { name, pp, ffn } = engine.instance;
  const inTurns = pp > 1 || ffn !== undefined;
  const working = inTurns ? Math.min(1, share(load.activeNs, load.busyNpuNs)) : 1;
  const binds = bindingOf(shares, working);
  return {
    instance: name,
    binds,
    waitedFor,
    busy,
    bandwidth,
    ...(communication < worthSaying ? {} : { communication }),
    ...(tiers < worthSaying ? {} : { tiers }),
    statement: `${name}: ${sentence(binds, engine, shares)}; ${deviceText(shares, load.busyNs)}`,
  };
}

/** @param working share of busy time in which a device does something */
function bindingOf(
  { waitedFor, busy, bandwidth, communication, tiers }: Shares,
  working: number,
): Binding {
  const limit = (['kv', 'seats', 'budget'] as const)
    .filter((name) => waitedFor[name] >= shareThatBinds)
    .sort((a, b) => waitedFor[b] - waitedFor[a])[0];
  if (limit !== undefined) return limit;
  if (busy < busyThatBinds) return 'none';
  if (communication >= communicationThatBinds) return 'links';
  const moves = bandwidth + tiers >= bandwidthThatBinds * working * (1 - communication);
  return moves ? 'bandwidth' : 'compute';
}

function sentence(binds: Binding, engine: InstanceEngine, shares: Shares): string {
  const { waitedFor, bandwidth, tiers } = shares;
  const { maxNumSeqs, maxNumBatchedTokens } = engine.instance.engine;
  const steps = (limit: keyof typeof waitedFor): string =>
    `${percent(waitedFor[limit])} of the steps`;
  switch (binds) {
    case 'kv':
      return `KV blocks bind: requests waited for them in ${steps('kv')}`;
    case 'seats':
      return `seats bind (max_num_seqs ${maxNumSeqs}): waited for in ${steps('seats')}`;
    case 'budget':
      return (
        `compute binds: prompts waited for the token budget of ${maxNumBatchedTokens} ` +
        `in ${steps('budget')}`
      );
    case 'links':
      return 'links bind: communication that nothing hides takes half the time or more';
    case 'bandwidth':
      return tiers > bandwidth
        ? 'bandwidth of memory below the device binds'
        : 'device memory bandwidth binds';
    case 'compute':
      return 'compute binds';
    default:
      return 'nothing binds';
  }
}

function deviceText({ busy, bandwidth, communication, tiers }: Shares, busyNs: number): string {
  const parts = [
    `device memory ${percent(bandwidth)}`,
    ...(communication < worthSaying ? [] : [`communication alone ${percent(communication)}`]),
    ...(tiers < worthSaying ? [] : [`waiting for memory below it ${percent(tiers)}`]),
  ];
  return `busy ${percent(busy)} (${(busyNs / nsPerS).toFixed(1)} s), ${parts.join(', ')} of that`;
}

function percent(value: number): string {
  return `${(100 * value).toFixed(0)} %`;
}
