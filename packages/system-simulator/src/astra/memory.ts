/**
 * ASTRA-sim's remote memory: latency plus transfer, one server per node or for all, or none. A server
 * pays the latency of every access in series. Times ns.
 */
import { UserError } from '@astrolabe/base';
import type { AstraMemory } from '@astrolabe/config';
import type { Core } from '../core.js';
import type { Counters } from '../counters.js';
import { Kind } from '../kernel/kinds.js';
import { accessNs } from '../memory/tiers.js';

interface Server {
  busy: boolean;
  readonly queue: { task: number; npu: number; durationNs: number }[];
}

export class AstraRemoteMemory {
  private readonly core: Core;
  private readonly spec: AstraMemory | undefined;
  private readonly servers = new Map<number, Server>();
  private readonly counts = new Map<number, Counters['memory'][number]>();

  constructor(core: Core, spec: AstraMemory | undefined) {
    this.core = core;
    this.spec = spec;
  }

  access(npu: number, sizeBytes: number, task: number, at: string): void {
    const { spec } = this;
    if (spec === undefined || spec.type === 'NO_MEMORY_EXPANSION') {
      throw new UserError(
        'Remote memory access is not supported in NO_MEMORY_EXPANSION: the memory file has none',
        { at },
      );
    }
    const durationNs = accessNs(spec, 0, sizeBytes);
    this.count(deviceOf(spec, npu), sizeBytes, durationNs);
    if (spec.type === 'PER_NPU_MEMORY_EXPANSION') {
      this.core.after(npu, durationNs, Kind.nodeEnd, task);
      return;
    }
    const id = deviceOf(spec, npu);
    let server = this.servers.get(id);
    if (server === undefined) {
      server = { busy: false, queue: [] };
      this.servers.set(id, server);
    }
    if (server.busy) server.queue.push({ task, npu, durationNs });
    else this.start(server, id, npu, durationNs, task);
  }

  /** By device: the NPU's, the node's, or the one pool. */
  counters(): Counters['memory'] {
    return [...this.counts].sort(([a], [b]) => a - b).map(([, counters]) => counters);
  }

  private count(device: number, bytes: number, busyNs: number): void {
    let counters = this.counts.get(device);
    if (counters === undefined) {
      counters = { tier: 'remote', device, bytes: 0, busyNs: 0, accesses: 0 };
      this.counts.set(device, counters);
    }
    counters.bytes += bytes;
    counters.busyNs += busyNs;
    counters.accesses++;
  }

  /** A server's access is over: the next begins at once. */
  serverDone(id: number): void {
    const server = this.servers.get(id) as Server;
    server.busy = false;
    const next = server.queue.shift();
    if (next !== undefined) this.start(server, id, next.npu, next.durationNs, next.task);
  }

  private start(server: Server, id: number, npu: number, durationNs: number, task: number): void {
    server.busy = true;
    this.core.after(npu, durationNs, Kind.nodeEnd, task);
    this.core.after(npu, durationNs, Kind.serverDone, id);
  }
}

function deviceOf(spec: AstraMemory, npu: number): number {
  if (spec.type === 'PER_NPU_MEMORY_EXPANSION') return npu;
  return spec.type === 'MEMORY_POOL' ? 0 : Math.trunc(npu / spec.npusPerNode);
}
