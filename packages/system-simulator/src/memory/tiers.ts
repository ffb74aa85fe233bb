/**
 * Memory tiers as servers: an access takes `latency + trunc(bytes / bandwidth)`; a device serves one
 * access at a time in order of arrival, within an instant in order of NPU. Times ns, bandwidth GB/s
 * of 10^9 (bytes per ns), sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import type { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';

type TierName = 'local' | 'remote' | 'cxl' | 'storage';

export interface TierSpec {
  /** A list is per device. */
  readonly latencyNs: number | readonly number[];
  readonly bandwidthGBps: number | readonly number[];
  /** `none`: every access alone. `device`: one server per device. `pool`: one server for all. */
  readonly contention: 'none' | 'device' | 'pool';
  readonly numDevices: number;
  /**
   * Each NPU's own link to the tier (PCIe), each way: it carries one access after another, so one
   * lasts at least its bytes over the link, while the tier's server is free for others after the
   * tier's own time.
   */
  readonly linkBandwidthGBps?: number | readonly number[];
  /** PIM channels per device, each with its own queue. */
  readonly pimChannels?: number;
}

export type MemorySpec = Partial<Record<TierName, TierSpec>>;

/** `tensor_loc` values 1..4. */
const tierNames: readonly (TierName | undefined)[] = [
  undefined,
  'local',
  'remote',
  'cxl',
  'storage',
];

interface Request {
  readonly task: number;
  readonly npu: number;
  readonly arrivalNs: number;
  readonly durationNs: number;
  /** Of its bytes on the NPU's link; 0: it has none. */
  readonly linkNs: number;
  readonly latencyNs: number;
  /** Of the link: an NPU's two ways are two links. */
  readonly link: number;
  readonly sizeBytes: number;
}

interface ServerCounters {
  readonly tier: TierName;
  readonly device: number;
  /** Of PIM queues. */
  readonly channel: number | undefined;
  bytes: number;
  busyNs: number;
  accesses: number;
}

interface Server {
  readonly counters: ServerCounters;
  readonly queue: Request[];
  current: Request | undefined;
  looking: boolean;
  /** When the NPU of the current access has it all, behind the tier's own end. */
  behindNs: number;
}

export class MemoryTiers {
  private readonly core: Core;
  private readonly spec: MemorySpec;
  private readonly onDone: (task: number) => void;
  private readonly servers: Server[] = [];
  private readonly serverOf = new Map<string, number>();
  private readonly open = new Map<string, ServerCounters>();
  /** By link. */
  private readonly linkFreeNs = new Map<number, number>();

  constructor(core: Core, spec: MemorySpec, onDone: (task: number) => void) {
    this.core = core;
    this.spec = spec;
    this.onDone = onDone;
  }

  /** True if accesses there never wait for others. */
  isUncontended(location: number): boolean {
    const name = tierNames[location];
    return name !== undefined && (this.spec[name]?.contention ?? 'none') === 'none';
  }

  /**
   * @param writes towards the tier
   * @param alike NPUs that do the same and run as one; only where nobody waits for others
   * @throws UserError if the tier is not there
   */
  access(
    npu: number,
    location: number,
    device: number,
    sizeBytes: number,
    task: number,
    writes = false,
    alike = 1,
  ): void {
    const [name, tier] = this.tier(location, device);
    const durationNs = accessNs(tier, device, sizeBytes);
    if (tier.contention === 'none') {
      const counters = this.openCounters(name);
      counters.bytes += alike * sizeBytes;
      counters.busyNs += alike * durationNs;
      counters.accesses += alike;
      this.core.after(npu, durationNs, Kind.nodeEnd, task);
      return;
    }
    const index = tier.contention === 'pool' ? 0 : device;
    const linkNs = linkTimeNs(tier, device, sizeBytes);
    const latencyNs = perDevice(tier.latencyNs, device);
    const link = 2 * npu + (writes ? 1 : 0);
    const server = this.server(name, index, undefined);
    this.enqueue(server, { task, npu, durationNs, linkNs, latencyNs, link, sizeBytes });
  }

  /** Work of `durationNs` on a PIM channel, plus moving its bytes. */
  pim(
    npu: number,
    location: number,
    device: number,
    channel: number,
    durationNs: number,
    sizeBytes: number,
    task: number,
  ): void {
    const [name, tier] = this.tier(location, device);
    const channels = tier.pimChannels ?? 0;
    if (channel >= channels) {
      throw new UserError(`PIM channel ${channel} of memory tier ${name}, which has ${channels}`);
    }
    const total = durationNs + accessNs(tier, device, sizeBytes);
    const server = this.server(name, device, channel);
    const noLink = { linkNs: 0, latencyNs: 0, link: -1 };
    this.enqueue(server, { task, npu, durationNs: total, ...noLink, sizeBytes });
  }

  handle(kind: number, id: number): void {
    const server = this.servers[id];
    if (kind === Kind.serverStart) {
      server.looking = false;
      this.startNext(server, id);
      return;
    }
    const done = server.current as Request;
    server.current = undefined;
    this.look(server, id);
    const { behindNs } = server;
    if (behindNs > 0) this.core.after(done.npu, behindNs, Kind.nodeEnd, done.task);
    else this.onDone(done.task);
  }

  counters(): ServerCounters[] {
    const all = [...this.open.values(), ...this.servers.map((server) => server.counters)];
    return all.map((counters) => ({ ...counters }));
  }

  private tier(location: number, device: number): [TierName, TierSpec] {
    const name = tierNames[location];
    const tier = name === undefined ? undefined : this.spec[name];
    if (name === undefined || tier === undefined) {
      throw new UserError(`memory access to tier ${name ?? location}, which this machine lacks`);
    }
    if (tier.contention === 'device' && device >= tier.numDevices) {
      throw new UserError(`device ${device} of memory tier ${name}, which has ${tier.numDevices}`);
    }
    return [name, tier];
  }

  private openCounters(tier: TierName): ServerCounters {
    let counters = this.open.get(tier);
    if (counters === undefined) {
      counters = { tier, device: 0, channel: undefined, bytes: 0, busyNs: 0, accesses: 0 };
      this.open.set(tier, counters);
    }
    return counters;
  }

  private server(tier: TierName, device: number, channel: number | undefined): number {
    const key = `${tier}/${device}/${channel ?? ''}`;
    let id = this.serverOf.get(key);
    if (id === undefined) {
      id = this.servers.length;
      this.servers.push({
        counters: { tier, device, channel, bytes: 0, busyNs: 0, accesses: 0 },
        queue: [],
        current: undefined,
        looking: false,
        behindNs: 0,
      });
      this.serverOf.set(key, id);
    }
    return id;
  }

  private enqueue(id: number, request: Omit<Request, 'arrivalNs'>): void {
    const { npu } = request;
    const server = this.servers[id];
    const arrivalNs = this.core.nowNs;
    const { queue } = server;
    let at = queue.length;
    while (at > 0 && queue[at - 1].arrivalNs === arrivalNs && queue[at - 1].npu > npu) at--;
    queue.splice(at, 0, { ...request, arrivalNs });
    if (server.current === undefined) this.look(server, id);
  }

  /** Starts the next access at the end of the instant, when all that arrive in it are there. */
  private look(server: Server, id: number): void {
    if (server.looking) return;
    server.looking = true;
    this.core.queue.schedule(this.core.nowNs, Kind.serverStart, id);
  }

  private startNext(server: Server, id: number): void {
    const next = server.queue.shift();
    if (next === undefined) return;
    server.current = next;
    server.counters.bytes += next.sizeBytes;
    server.counters.busyNs += next.durationNs;
    server.counters.accesses++;
    server.behindNs = this.behindNs(next);
    this.core.queue.schedule(this.core.nowNs + next.durationNs, Kind.serverDone, id);
  }

  /** Of an access that starts now: how long its bytes are on the link beyond the tier's own time. */
  private behindNs({ durationNs, linkNs, latencyNs, link }: Request): number {
    if (linkNs === 0) return 0;
    const { nowNs } = this.core;
    const beginNs = Math.max(nowNs, this.linkFreeNs.get(link) ?? 0);
    this.linkFreeNs.set(link, beginNs + linkNs);
    return Math.max(0, beginNs + Math.trunc(latencyNs + linkNs) - (nowNs + durationNs));
  }
}

function linkTimeNs(tier: TierSpec, device: number, sizeBytes: number): number {
  if (tier.linkBandwidthGBps === undefined) return 0;
  return accessNs({ latencyNs: 0, bandwidthGBps: tier.linkBandwidthGBps }, device, sizeBytes);
}

/** Whole ns, as all times are. Bandwidth 0 moves data in no time, as in ASTRA-sim. */
export function accessNs(
  tier: Pick<TierSpec, 'latencyNs' | 'bandwidthGBps'>,
  device: number,
  sizeBytes: number,
): number {
  const transfer = sizeBytes / perDevice(tier.bandwidthGBps, device);
  const moveNs = Number.isFinite(transfer) ? Math.trunc(transfer) : 0;
  return Math.trunc(perDevice(tier.latencyNs, device) + moveNs);
}

function perDevice(value: number | readonly number[], device: number): number {
  return typeof value === 'number' ? value : value[Math.min(device, value.length - 1)];
}
