/**
 * Ring collectives over all NPUs of one dimension without messages: when the last NPU has begun, all
 * end times follow from a recursion over rounds. Exact because nothing else uses the links (with
 * congestion) or links do not matter (without). Equal to the messages by test. Times ns.
 */
import { ringTimes } from '../collectives/closed-times.js';
import { CollectiveKind, sendsOf } from '../collectives/phase.js';
import { reductionNs, type Stream } from '../collectives/streams.js';
import type { Core } from '../core.js';
import { Op, type Program, rowOf } from '../feeder/program.js';
import { Kind } from '../kernel/kinds.js';
import { bytesPerNs, hopsBetween } from '../network/topology.js';
import { parseAstraImplementation } from './chunks.js';
import type { AstraInputs } from './inputs.js';
import { Planner } from './planner.js';

/** NPUs issue different collectives with one tag: only messages tell what becomes of that. */
export class NotClosed extends Error {}

/** Whether every collective of these programs may run without messages, and nothing else sends any. */
export function canClose(inputs: AstraInputs, programs: Iterable<Program>): boolean {
  const { network, system, backend, memory } = inputs;
  if (network.topology.length !== 1 || inputs.queuesPerDim !== 1 || inputs.rendezvous) return false;
  if (network.links !== undefined) return false;
  if (system.sharedBus !== undefined || system.perNodeCustom !== undefined) return false;
  if (backend === 'congestion-aware' && system.activeChunks !== 1) return false;
  for (const program of programs) {
    const { graph, op, nodeCount } = program;
    for (let node = 0; node < nodeCount; node++) {
      const row = rowOf(program, node);
      if (op[node] === Op.memory && memory?.type !== 'PER_NPU_MEMORY_EXPANSION') return false;
      if (op[node] === Op.send || op[node] === Op.receive || op[node] === Op.pim) return false;
      if (op[node] !== Op.collective) continue;
      const group = graph.strings[graph.pgName[row]];
      if (graph.extra.has(row) || (group !== '' && group !== '0')) return false;
      const name = Planner.nameOf(graph.commType[row] as CollectiveKind);
      const list = system.implementations[name];
      if (list?.length !== 1 || system.custom[name] !== undefined) return false;
      if (parseAstraImplementation(list[0]).algorithm !== 'ring') return false;
    }
  }
  return true;
}

interface Site {
  readonly kind: CollectiveKind;
  readonly chunkBytes: number;
  readonly chunks: number;
  readonly beginNs: Float64Array;
  readonly tasks: Int32Array;
  arrived: number;
}

export class ClosedRing {
  private readonly core: Core;
  private readonly inputs: AstraInputs;
  private readonly endpointNs: number;
  private readonly sites = new Map<number, Site>();
  /** When the way out of NPU i, and the way into its next, are free again. */
  private readonly outFree: Float64Array;
  private readonly inFree: Float64Array;

  constructor(core: Core, inputs: AstraInputs, endpointNs: number) {
    this.core = core;
    this.inputs = inputs;
    this.endpointNs = endpointNs;
    this.outFree = new Float64Array(core.numNpus);
    this.inFree = new Float64Array(core.numNpus);
  }

  /** @throws NotClosed */
  begin(npu: number, kind: CollectiveKind, streams: readonly Stream[], task: number): void {
    const { tag, phases } = streams[0];
    const chunkBytes = phases[0].spec.dataBytes;
    let site = this.sites.get(tag);
    if (site === undefined) {
      const n = this.core.numNpus;
      site = {
        kind,
        chunkBytes,
        chunks: streams.length,
        beginNs: new Float64Array(n),
        tasks: new Int32Array(n),
        arrived: 0,
      };
      this.sites.set(tag, site);
    }
    const alike =
      site.kind === kind && site.chunkBytes === chunkBytes && site.chunks === streams.length;
    const last = streams[streams.length - 1].phases[0].spec.dataBytes;
    if (!alike || last !== chunkBytes) throw new NotClosed();
    site.beginNs[npu] = this.core.nowNs;
    site.tasks[npu] = task;
    if (++site.arrived < this.core.numNpus) return;
    this.sites.delete(tag);
    this.complete(site);
  }

  private complete(site: Site): void {
    const { kind, chunkBytes, chunks, beginNs, tasks } = site;
    const n = beginNs.length;
    const messageBytes =
      kind === CollectiveKind.allGather ? chunkBytes : Math.trunc(chunkBytes / n);
    if (messageBytes === 0) throw new NotClosed();
    const { system } = this.inputs;
    const reduceNs = reductionNs(messageBytes, system.localMemoryBandwidthGBps * 1e9);
    const atOnce = system.activeChunks;
    const ends: Float64Array[] = [];
    for (let c = 0; c < chunks; c++) {
      const times = (c < atOnce ? beginNs : ends[c - atOnce]).slice();
      if (this.inputs.backend === 'congestion-aware') {
        this.congestedTimes(kind, messageBytes, reduceNs, times);
      } else {
        const hopNs = new Float64Array(n).fill(this.delayNs(messageBytes));
        ringTimes(kind, { endpointNs: this.endpointNs, reduceNs, hopNs, uniform: true }, times);
      }
      ends.push(times);
    }
    const last = ends[chunks - 1];
    const sent = chunks * sendsOf(kind, 'ring', n) * messageBytes;
    for (let npu = 0; npu < n; npu++) {
      this.core.sentBytes[npu] += sent;
      this.core.queue.schedule(last[npu], Kind.nodeEnd, tasks[npu]);
    }
  }

  private delayNs(messageBytes: number): number {
    const { network } = this.inputs;
    const hops = hopsBetween(network.topology[0], network.npus_count[0], 0, 1);
    const serial = messageBytes / bytesPerNs(network.bandwidth[0]);
    return Math.trunc(hops * network.latency[0] + serial);
  }

  /** As `ringTimes`, where a message waits until the one before it has left its link. */
  private congestedTimes(
    kind: CollectiveKind,
    messageBytes: number,
    reduceNs: number,
    times: Float64Array,
  ): void {
    const { network, repairs } = this.inputs;
    const { outFree, inFree, endpointNs } = this;
    const n = times.length;
    const latency = network.latency[0];
    const serial = messageBytes / bytesPerNs(network.bandwidth[0]);
    const holdNs = Math.trunc(serial);
    const hopNs = Math.trunc(latency + serial);
    const viaSwitch = network.topology[0] === 'Switch';
    const cut = viaSwitch && repairs.cutThroughSwitch;
    const reduces = kind === CollectiveKind.allReduce || kind === CollectiveKind.reduceScatter;
    const arrivals = new Float64Array(n);
    const arrival = (i: number): number => {
      const start = Math.max(times[i], outFree[i]);
      outFree[i] = start + holdNs;
      const there = start + hopNs;
      if (!viaSwitch) return there;
      if (cut) {
        inFree[i] = Math.max(there, inFree[i] + holdNs);
        return inFree[i] + Math.trunc(latency);
      }
      const again = Math.max(there, inFree[i]);
      inFree[i] = again + holdNs;
      return again + hopNs;
    };
    for (let i = 0; i < n; i++) times[i] += endpointNs;
    const sends = sendsOf(kind, 'ring', n);
    for (let k = 1; k <= sends; k++) {
      const extra = endpointNs + (reduces && k <= n - 1 ? reduceNs : 0);
      for (let i = 0; i < n; i++) arrivals[i] = arrival(i);
      for (let i = 0; i < n; i++) {
        times[i] = Math.max(arrivals[i === 0 ? n - 1 : i - 1], times[i]) + extra;
      }
    }
  }
}
