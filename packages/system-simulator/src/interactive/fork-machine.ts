/**
 * LLMServingSim's ASTRA-sim: the machine that stays alive between batches. One clock for all NPUs;
 * graphs are loaded one NPU at a time, whenever somebody says so, and carry on from the state that the
 * last ones left (slots, servers, streams). Times ns, sizes bytes.
 */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph } from '@astrolabe/chakra';
import type { AstraNetwork, AstraSystem, ForkMemory } from '@astrolabe/config';
import { dimensionsOf, involvedDims, statedEndpointDelay } from '../astra/inputs.js';
import { type CollectiveRequest, collectiveTagBase, Planner } from '../astra/planner.js';
import { allRepairs } from '../astra/repairs.js';
import type { CollectiveKind } from '../collectives/phase.js';
import { StreamEngine } from '../collectives/streams.js';
import { Core } from '../core.js';
import { Feeder, type NodeActions } from '../feeder/feeder.js';
import { compileProgram, defaultRules, type NodeRules, rowOf } from '../feeder/program.js';
import type { Run } from '../feeder/run.js';
import { Kind } from '../kernel/kinds.js';
import { accessMemory, computeInMemory } from '../memory/node-access.js';
import { MemoryTiers, type TierSpec } from '../memory/tiers.js';
import { createNetwork } from '../network/create-network.js';

/** The clock's step while nothing is pending. */
const idleStepNs = 1_000_000;

interface ForkInputs {
  readonly network: AstraNetwork;
  readonly system: AstraSystem;
  readonly memory: ForkMemory;
}

/** As stock, but what would wait for ever ends. */
const repairs = { ...allRepairs(false), loneMembers: true, wakeAfterSkip: true };

export class ForkMachine implements NodeActions {
  readonly numNpus: number;
  /** Told at the very tick, before anything else happens. */
  onFinished: (npu: number) => void = () => {};
  private readonly core: Core;
  private readonly feeder: Feeder;
  private readonly planner: Planner;
  private readonly engine: StreamEngine;
  private readonly memory: MemoryTiers;
  private readonly rules: NodeRules;
  /** What each NPU runs. */
  private readonly runs: (Run | undefined)[] = [];
  private readonly computeNs: Float64Array;

  constructor({ network, system, memory }: ForkInputs) {
    this.numNpus = network.npus_count.reduce((product, n) => product * n, 1);
    const dims = dimensionsOf(network);
    const spec = { congestion: 'unaware', dims, routing: 'first', cutThrough: false } as const;
    this.core = new Core(this.numNpus, createNetwork(spec, this.numNpus));
    // Idle NPUs are asked after every event, so none may be skipped.
    this.feeder = new Feeder(this.core, this, { stockSkips: false, chains: false });
    this.planner = new Planner({
      system,
      npusCount: network.npus_count,
      queuesPerDim: 1,
      endpointNs: statedEndpointDelay(system),
      groups: new Map(),
      repairs,
    });
    this.engine = new StreamEngine({
      core: this.core,
      transport: this.core,
      localMemoryBytesPerSecond: system.localMemoryBandwidthGBps * 1e9,
      onDataSetDone: ({ task }) => this.feeder.finish(task),
    });
    this.memory = new MemoryTiers(this.core, memoryTiers(memory), (task) =>
      this.feeder.finish(task),
    );
    this.rules = { ...defaultRules, ctrlDeps: false, dimensions: true };
    this.computeNs = new Float64Array(this.numNpus);
    this.core.layers = (kind, arg) => this.handle(kind, arg);
  }

  get nowNs(): number {
    return this.core.nowNs;
  }

  /** Nothing can happen any more unless somebody loads a graph. */
  get isQuiet(): boolean {
    return this.core.queue.size === 0;
  }

  isIdle(npu: number): boolean {
    return this.runs[npu] === undefined;
  }

  /** Cycles that the NPU has computed in all its graphs so far. */
  computedNs(npu: number): number {
    return this.computeNs[npu];
  }

  /** Loads the graph and fires it now. @throws UserError the graph cannot run */
  load(npu: number, graph: ExecutionGraph, at: string): void {
    const program = compileProgram(graph, this.rules, at);
    if (program.roots.length === 0) {
      throw new UserError('no node without dependencies: nothing can start', { at });
    }
    const run = this.feeder.start(program, [npu]);
    this.runs[npu] = run;
    this.feeder.begin(run);
  }

  /** Everything of the next instant, or 1 ms when nothing is pending. */
  step(): void {
    const { queue } = this.core;
    if (queue.size === 0) {
      queue.advanceTo(queue.time + idleStepNs);
      return;
    }
    const timeNs = queue.peekTime();
    do {
      queue.pop();
      this.core.dispatch(queue.kind, queue.arg);
    } while (queue.peekTime() === timeNs);
  }

  collective(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const request: CollectiveRequest = {
      npu: run.npu,
      kind: graph.commType[row] as CollectiveKind,
      sizeBytes: graph.commSizeBytes[row],
      group: 0,
      involved: involvedDims(graph, row),
      task,
      at: `NPU ${run.npu}: node ${graph.id[row]}`,
    };
    const { streams } = this.planner.plan(request);
    if (streams.length === 0 || streams[0].phases.length === 0) {
      this.core.after(run.npu, 0, Kind.nodeEnd, task);
      return;
    }
    for (const stream of streams) this.engine.submit(stream);
  }

  memoryAccess(run: Run, node: number, task: number): void {
    accessMemory(this.memory, run, node, task);
  }

  pim(run: Run, node: number, task: number): void {
    computeInMemory(this.memory, run, node, task);
  }

  send(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const dst = this.peer(run, graph.commDst[row], graph.id[row]);
    const sizeBytes = graph.commSizeBytes[row];
    run.commBytes += sizeBytes;
    const tag = graph.commTag[row] % collectiveTagBase;
    this.core.send(run.npu, dst, tag, sizeBytes, Kind.nodeEnd, task);
  }

  receive(run: Run, node: number, task: number): void {
    const { graph } = run.program;
    const row = rowOf(run.program, node);
    const src = this.peer(run, graph.commSrc[row], graph.id[row]);
    const sizeBytes = graph.commSizeBytes[row];
    this.feeder.receiveBegins(task);
    const tag = graph.commTag[row] % collectiveTagBase;
    this.core.receive(src, run.npu, tag, sizeBytes, Kind.nodeEnd, task);
  }

  runFinished(run: Run): void {
    this.runs[run.npu] = undefined;
    this.computeNs[run.npu] += run.computeNs;
    this.onFinished(run.npu);
  }

  private peer(run: Run, peer: number, id: number): number {
    if (peer >= 0 && peer < this.numNpus && peer !== run.npu) return peer;
    throw new UserError(`a message between NPU ${run.npu} and ${peer} of ${this.numNpus}`, {
      at: `NPU ${run.npu}: node ${id}`,
    });
  }

  private handle(kind: number, arg: number): void {
    switch (kind) {
      case Kind.nodeEnd:
        this.feeder.finish(arg);
        break;
      case Kind.serverDone:
      case Kind.serverStart:
        this.memory.handle(kind, arg);
        break;
      default:
        this.engine.handle(kind, arg);
    }
  }
}

function memoryTiers(memory: ForkMemory): Record<string, TierSpec> {
  return Object.fromEntries(
    Object.entries(memory).map(([name, tier]) => [
      name,
      {
        latencyNs: tier.latencyNs,
        bandwidthGBps: tier.bandwidthGBps,
        contention: tier.perDevice ? 'device' : 'none',
        numDevices: tier.numDevices,
        pimChannels: tier.pimChannels,
      },
    ]),
  );
}
