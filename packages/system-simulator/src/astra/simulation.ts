/**
 * One run of ASTRA-sim: its workload, system and network layers on the shared core. NPUs are fired in
 * id order at time 0 and events run until none is left. Times ns, sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import { Attr, type ExecutionGraph } from '@astrolabe/chakra';
import type { CollectiveKind } from '../collectives/phase.js';
import { SharedBus } from '../collectives/shared-bus.js';
import { StreamEngine } from '../collectives/streams.js';
import { Core, type MessageListener, type Network, type Transport } from '../core.js';
import type { Counters } from '../counters.js';
import { Feeder, type NodeActions, type NodeListener } from '../feeder/feeder.js';
import { compileProgram, Op, type Program, rowOf } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';
import { Kind } from '../kernel/kinds.js';
import { createNetwork } from '../network/create-network.js';
import { ClosedRing } from './closed-ring.js';
import { CustomCollectives } from './custom.js';
import { foldedAwareNetwork, mirror } from './fold.js';
import {
  type AstraInputs,
  checkedTransport,
  endpointDelay,
  groupNumber,
  involvedDims,
  networkSpec,
  nodeRules,
} from './inputs.js';
import { LocalMemory } from './local-memory.js';
import { AstraRemoteMemory } from './memory.js';
import { type NpuResult, resultOf } from './npu-result.js';
import { type CollectiveRequest, collectiveTagBase, Planner } from './planner.js';
import { Rendezvous } from './rendezvous.js';

/**
 * `plain`: every message is an event. `agreed`: as plain, queues admit phases in one order on all
 * NPUs. `folded`: NPU 0 only, its results are everybody's (fold.ts).
 * `closed`: rings over all NPUs without messages (closed-ring.ts).
 */
export type Way = 'plain' | 'agreed' | 'folded' | 'closed';

export class AstraSimulation implements NodeActions {
  readonly core: Core;
  readonly feeder: Feeder;
  /** In order of finishing. */
  readonly finished: Run[] = [];
  readonly numNpus: number;
  /** By NPU, if the system file asks to track it. */
  readonly localMemory = new Map<number, LocalMemory>();
  /** A program has nodes that take no time. */
  hasSkips = false;
  /** Something was scheduled for time 0, where stock ASTRA-sim dies. */
  eventAtZero = false;
  private readonly inputs: AstraInputs;
  readonly planner: Planner;
  private readonly engine: StreamEngine;
  private readonly bus: SharedBus | undefined;
  private readonly custom: CustomCollectives;
  private readonly closedRing: ClosedRing | undefined;
  private readonly groupCustom = new Map<string, string | undefined>();
  private readonly memory: AstraRemoteMemory;
  private readonly transport: Transport;
  private readonly rendezvous: Rendezvous | undefined;
  private readonly runs: Run[] = [];

  /** NPU 0 stands for all. */
  private readonly folded: boolean;

  constructor(inputs: AstraInputs, way: Way = 'plain') {
    this.inputs = inputs;
    const folded = way === 'folded';
    this.folded = folded;
    const { network, system } = inputs;
    this.numNpus = network.npus_count.reduce((product, n) => product * n, 1);
    this.core = new Core(this.numNpus, linksOf(inputs, this.numNpus, folded));
    // ASTRA-sim counts in 64 bits, coarsely or not.
    this.core.queue.latestTime = 2 ** 64;
    this.rendezvous = inputs.rendezvous ? new Rendezvous(this.core) : undefined;
    this.transport = this.rendezvous ?? this.core;
    this.feeder = new Feeder(this.core, this, {
      stockSkips: !inputs.repairs.wakeAfterSkip,
      chains: true,
      ...(inputs.slowdown === undefined ? {} : { slowdown: Float64Array.from(inputs.slowdown) }),
    });
    this.planner = plannerOf(inputs, way);
    this.bus = busOf(inputs, this.core);
    this.engine = this.makeEngine(folded);
    this.custom = this.makeCustom();
    this.closedRing =
      way === 'closed' ? new ClosedRing(this.core, inputs, endpointDelay(inputs)) : undefined;
    this.memory = new AstraRemoteMemory(this.core, inputs.memory);
    this.core.layers = (kind, arg) => this.handle(kind, arg);
    if (system.trackLocalMemory) this.trackLocalMemory();
  }

  private makeEngine(folded: boolean): StreamEngine {
    const { backend, network, system } = this.inputs;
    return new StreamEngine({
      ...(folded ? { mirror } : {}),
      ...(this.bus === undefined ? {} : { bus: this.bus }),
      core: this.core,
      transport: checkedTransport(this.transport, backend, network),
      localMemoryBytesPerSecond: system.localMemoryBandwidthGBps * 1e9,
      onDataSetDone: ({ task }) => this.feeder.finish(task),
    });
  }

  private makeCustom(): CustomCollectives {
    const { customGraph } = this.inputs;
    return new CustomCollectives({
      core: this.core,
      transport: this.transport,
      load: (prefix, rank) => {
        if (customGraph !== undefined) return customGraph(prefix, rank);
        throw new UserError(`custom collective ${prefix}: there are no files here`);
      },
      onDone: (task) => this.feeder.finish(task),
    });
  }

  private trackLocalMemory(): void {
    for (let npu = 0; npu < this.numNpus; npu++) this.localMemory.set(npu, new LocalMemory());
    this.feeder.onNode = (event, run, node, timeNs) => {
      this.localMemory.get(run.npu)?.onNode(event, run, node, timeNs);
    };
  }

  /** Set before the run. */
  set onNode(listener: NodeListener) {
    const tracker = this.feeder.onNode;
    this.feeder.onNode = (event, run, node, timeNs) => {
      tracker?.(event, run, node, timeNs);
      listener(event, run, node, timeNs);
    };
  }

  set onMessage(listener: MessageListener | undefined) {
    this.core.onMessage = listener;
  }

  /** Runs to the end of all events. @throws UserError where ASTRA-sim dies for a reason in the input */
  run(): void {
    const programs = new Map<ExecutionGraph, Program>();
    const { graphs, graphName } = this.inputs;
    const rules = nodeRules(this.inputs);
    for (let npu = 0; npu < (this.folded ? 1 : this.numNpus); npu++) {
      const graph = graphs[npu];
      let program = programs.get(graph);
      if (program === undefined) {
        program = compileProgram(graph, rules, graphName(npu));
        if (program.roots.length === 0) {
          throw new UserError('no node without dependencies: nothing can start', {
            at: graphName(npu),
            hint: 'the graph is empty or its dependencies form a cycle',
          });
        }
        programs.set(graph, program);
        this.hasSkips ||= program.op.includes(Op.skip);
      }
      this.runs.push(this.feeder.start(program, [npu]));
    }
    for (const run of this.runs) this.feeder.begin(run);
    const { queue } = this.core;
    this.eventAtZero = queue.peekTime() === 0;
    while (queue.pop()) this.core.dispatch(queue.kind, queue.arg);
  }

  results(): NpuResult[] {
    if (!this.folded) return this.runs.map((run) => resultOf(run, run.npu));
    return Array.from({ length: this.numNpus }, (_, npu) => resultOf(this.runs[0], npu));
  }

  /** In order of finishing. */
  finishedResults(): { run: Run; result: NpuResult }[] {
    if (!this.folded) return this.finished.map((run) => ({ run, result: resultOf(run, run.npu) }));
    const [run] = this.runs;
    return this.results().map((result) => ({ run, result }));
  }

  unfinished(): readonly Run[] {
    return this.runs.filter((run) => !run.finished);
  }

  counters(): Counters {
    const sent = this.core.sentBytes;
    const sentByOne = sent.reduce((sum, bytes) => sum + bytes, 0);
    return {
      nowNs: this.core.nowNs,
      npus: Array.from({ length: this.numNpus }, (_, npu) => {
        const { computeNs, exposedCommNs, exposedMemoryNs } = this.runs[this.folded ? 0 : npu];
        const sentBytes = this.folded ? sentByOne : sent[npu];
        return { npu, computeNs, exposedCommNs, exposedMemoryNs, sentBytes };
      }),
      links: this.core.network.counters?.() ?? [],
      memory: this.memoryCounters(),
    };
  }

  private memoryCounters(): Counters['memory'] {
    const counted = this.memory.counters();
    if (!this.folded) return counted;
    // Each NPU has the same, a memory of its own.
    return counted.flatMap((own) =>
      Array.from({ length: this.numNpus }, (_, device) => ({ ...own, device })),
    );
  }

  collective(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const at = `${this.inputs.graphName(run.npu)}: node ${graph.id[row]}`;
    const request: CollectiveRequest = {
      npu: run.npu,
      kind: graph.commType[row] as CollectiveKind,
      sizeBytes: graph.commSizeBytes[row],
      group: groupNumber(graph, row, at, this.inputs.groupNumbers),
      involved: involvedDims(graph, row),
      task,
      at,
    };
    const prefix = this.customPrefix(request, graph.id[row]);
    if (prefix !== undefined) {
      this.beginCustom(request, prefix);
      return;
    }
    const { streams } = this.planner.plan(request);
    const endless = streams.length === 0 || streams[0].phases.length === 0;
    if (endless) {
      // ASTRA-sim waits for ever here; the report names the node's slot.
      if (this.inputs.repairs.loneMembers) this.core.after(run.npu, 0, Kind.nodeEnd, task);
      return;
    }
    if (this.closedRing !== undefined) {
      this.closedRing.begin(run.npu, request.kind, streams, task);
      return;
    }
    for (const stream of streams) this.engine.submit(stream);
  }

  /** Path prefix of the traces that replace the built-in algorithm. */
  private customPrefix(request: CollectiveRequest, id: number): string | undefined {
    const { system, perNodeCustom } = this.inputs;
    const name = Planner.nameOf(request.kind);
    const own = perNodeCustom?.get(id) ?? system.custom[name];
    if (request.group === 0) return own;
    // A group keeps the first choice per kind.
    const key = `${request.npu}/${request.group}/${request.kind}`;
    if (!this.groupCustom.has(key)) this.groupCustom.set(key, own);
    return this.groupCustom.get(key);
  }

  private beginCustom(request: CollectiveRequest, prefix: string): void {
    const members = this.planner.membersOf(request);
    this.planner.customTag(request.npu, request.group);
    const chunks = this.planner.chunkCount(request);
    if (chunks !== 1 && !this.inputs.repairs.customChunks) {
      throw new UserError(
        `a custom collective runs as one chunk, but preferred-dataset-splits makes ${chunks}`,
        { at: request.at, hint: 'ASTRA-sim waits for ever here' },
      );
    }
    this.custom.begin(request.npu, prefix, members, request.task);
  }

  memoryAccess(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const at = `${this.inputs.graphName(run.npu)}: node ${graph.id[row]}`;
    this.memory.access(run.npu, graph.tensorSizeBytes[row], task, at);
  }

  pim(run: Run, node: number): void {
    const id = run.program.graph.id[rowOf(run.program, node)];
    throw new UserError('PIM nodes need memory with PIM channels (--cluster-config)', {
      at: `${this.inputs.graphName(run.npu)}: node ${id}`,
    });
  }

  send(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const src = (graph.present[row] & Attr.commSrc) === 0 ? run.npu : graph.commSrc[row];
    const dst = graph.commDst[row];
    const sizeBytes = graph.commSizeBytes[row];
    this.checkEnd(run, row, 'Send node should be issued by the sender', src);
    this.checkPeer(run, row, dst, sizeBytes);
    run.commBytes += sizeBytes;
    const tag = graph.commTag[row] % collectiveTagBase;
    this.transport.send(run.npu, dst, tag, sizeBytes, Kind.nodeEnd, task);
  }

  receive(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const dst = (graph.present[row] & Attr.commDst) === 0 ? run.npu : graph.commDst[row];
    const src = graph.commSrc[row];
    const sizeBytes = graph.commSizeBytes[row];
    this.checkEnd(run, row, 'Recv node should be issued by the receiver', dst);
    this.checkPeer(run, row, src, sizeBytes);
    this.feeder.receiveBegins(task);
    const tag = graph.commTag[row] % collectiveTagBase;
    this.transport.receive(src, run.npu, tag, sizeBytes, Kind.nodeEnd, task);
  }

  runFinished(run: Run): void {
    this.finished.push(run);
  }

  private checkEnd(run: Run, row: number, message: string, end: number): void {
    if (end === run.npu) return;
    throw new UserError(`${message}: it names NPU ${end}`, { at: this.place(run, row) });
  }

  private checkPeer(run: Run, row: number, peer: number, sizeBytes: number): void {
    const at = this.place(run, row);
    if (sizeBytes <= 0) throw new UserError('a message of 0 bytes', { at });
    if (peer < 0 || peer >= this.numNpus) {
      throw new UserError(`NPU ${peer} is not one of ${this.numNpus}`, { at });
    }
    if (peer !== run.npu) return;
    const { backend, network } = this.inputs;
    if (backend === 'congestion-aware' && network.topology[0] === 'Switch') return;
    throw new UserError('a message to itself: there is no such link', { at });
  }

  private place(run: Run, row: number): string {
    return `${this.inputs.graphName(run.npu)}: node ${run.program.graph.id[row]}`;
  }

  private handle(kind: number, arg: number): void {
    switch (kind) {
      case Kind.nodeEnd:
        this.feeder.finish(arg);
        break;
      case Kind.serverDone:
        this.memory.serverDone(arg);
        break;
      case Kind.customNodeEnd:
        this.custom.handle(arg);
        break;
      case Kind.busSent:
      case Kind.busReceived:
      case Kind.busProcessed:
        this.bus?.handle(kind, arg);
        break;
      case Kind.rendezvousSend:
      case Kind.rendezvousReceive:
        this.rendezvous?.handle(kind, arg);
        break;
      default:
        this.engine.handle(kind, arg);
    }
  }
}

function plannerOf(inputs: AstraInputs, way: Way): Planner {
  const { system, network, queuesPerDim, groups, repairs } = inputs;
  return new Planner({
    system,
    npusCount: network.npus_count,
    queuesPerDim,
    endpointNs: endpointDelay(inputs),
    groups,
    repairs,
    agreedOrder: way === 'agreed',
  });
}

function busOf({ system }: AstraInputs, core: Core): SharedBus | undefined {
  const { sharedBus, localReductionDelay } = system;
  return sharedBus === undefined
    ? undefined
    : new SharedBus(core, { ...sharedBus, localReductionDelay });
}

/** @throws UserError where stock ASTRA-sim refuses the network */
function linksOf(inputs: AstraInputs, numNpus: number, folded: boolean): Network {
  const spec = networkSpec(inputs);
  const aware = inputs.backend === 'congestion-aware';
  if (aware && spec.dims.length > 1 && !inputs.repairs.routeAllDims) {
    throw new UserError(
      '[Error] (network/analytical/congestion_aware) only support 1-dim topology',
      { hint: 'without --compat astra-sim any number of dimensions runs' },
    );
  }
  return folded && aware ? foldedAwareNetwork(inputs) : createNetwork(spec, numNpus);
}
