/**
 * Issuing nodes: whenever a node of an NPU ends, its ready nodes are walked in ascending order of id
 * and each whose slot is free starts. Successors of nodes that take no time at all are issued in the
 * same instant unless stock ASTRA-sim's way is asked for (`stockSkips`).
 */
import { grownInt32, UserError } from '@astrolabe/base';
import type { Core } from '../core.js';
import { Kind } from '../kernel/kinds.js';
import { Op, type Program, place, rowOf, Slot, Stat } from './program.js';
import { popReady, pushReady, Run } from './run.js';

/** What nodes start besides compute; each ends in `feeder.finish(task)`. */
export interface NodeActions {
  collective(run: Run, node: number, task: number): void;
  memoryAccess(run: Run, node: number, task: number): void;
  pim(run: Run, node: number, task: number): void;
  send(run: Run, node: number, task: number): void;
  receive(run: Run, node: number, task: number): void;
  /** Everything that could run has run. */
  runFinished(run: Run): void;
}

/** One node's issue and end, for timelines. */
export type NodeListener = (event: 'issue' | 'end', run: Run, node: number, timeNs: number) => void;

interface FeederOptions {
  /** Successors of skipped nodes wait until another node of the NPU ends, perhaps for ever. */
  readonly stockSkips: boolean;
  /** Run chains of compute nodes as one event where nothing can interfere. */
  readonly chains: boolean;
  /**
   * Nodes of one NPU that end in the same instant all end before others start, in whatever order they
   * end: a fast path may change that order. `flush` starts them.
   */
  readonly endsTogether?: boolean;
  /** Time of `compute` nodes per NPU relative to the graph: 2 = half as fast. */
  readonly slowdown?: Float64Array;
}

export class Feeder {
  readonly core: Core;
  readonly actions: NodeActions;
  onNode: NodeListener | undefined;
  private readonly options: FeederOptions;
  private readonly taskRun: (Run | undefined)[] = [];
  private taskNode = new Int32Array(256);
  private taskFirst = new Int32Array(256);
  /** By the logarithm of their length. */
  private readonly freeWaiting: Int32Array[][] = [];
  private readonly freeTasks: number[] = [];
  /** Of which a node has ended in this instant while others went on. */
  private readonly postponed: Run[] = [];

  constructor(core: Core, actions: NodeActions, options: FeederOptions) {
    this.core = core;
    this.actions = actions;
    this.options = options;
  }

  /** Starts a program now on these NPUs, which behave as one. */
  start(program: Program, npus: readonly number[]): Run {
    const run = new Run(program, npus, this.takeWaiting(program.nodeCount));
    run.startNs = this.core.nowNs;
    run.accountedNs = run.startNs;
    for (const node of program.roots) this.makeReady(run, node);
    return run;
  }

  /** Issues what can start, then sees whether all is done. First call after `start`. */
  begin(run: Run): void {
    this.issueAll(run);
    this.endIfDone(run);
  }

  /** The node of `task` ends now. */
  finish(task: number): void {
    const run = this.taskRun[task] as Run;
    const node = this.taskNode[task];
    const first = this.taskFirst[task];
    this.taskRun[task] = undefined;
    this.freeTasks.push(task);
    const now = this.core.nowNs;
    const { slot, stat, chainCount } = run.program;
    run.account(now);
    count(run, stat[node], -1);
    run.nodesDone += first === node ? 1 : chainCount[first];
    run.busy[slot[node]] = false;
    run.ongoing--;
    run.lastEndNs = now;
    if (this.onNode !== undefined) this.onNode('end', run, node, now);
    this.release(run, node);
    if (run.ongoing > 0 && this.options.endsTogether === true) {
      this.postponed.push(run);
      return;
    }
    this.issueAll(run);
    this.endIfDone(run);
  }

  /** Nothing else ends in this instant, as far as is known: what became ready starts. */
  flush(): void {
    const { postponed } = this;
    if (postponed.length === 0) return;
    for (const run of postponed) if (!run.finished) this.begin(run);
    postponed.length = 0;
  }

  /** A receive's message is on its way: from now on the run communicates. */
  receiveBegins(task: number): void {
    const run = this.taskRun[task] as Run;
    run.account(this.core.nowNs);
    run.communicating++;
  }

  runOf(task: number): Run {
    return this.taskRun[task] as Run;
  }

  /** Forgets a run that is under way; its events must be gone. */
  discard(run: Run): void {
    for (let task = 0; task < this.taskRun.length; task++) {
      if (this.taskRun[task] !== run) continue;
      this.taskRun[task] = undefined;
      this.freeTasks.push(task);
    }
    this.giveWaiting(run);
  }

  private makeReady(run: Run, node: number): void {
    run.readyCount++;
    if (run.walking) run.deferred.push(node);
    else pushReady(run.ready[run.program.slot[node]], node);
  }

  private release(run: Run, node: number): void {
    const { childStart, child } = run.program;
    const end = childStart[node + 1];
    for (let e = childStart[node]; e < end; e++) {
      if (--run.waiting[child[e]] === 0) this.makeReady(run, child[e]);
    }
  }

  private issueAll(run: Run): void {
    const { ready, busy, deferred } = run;
    for (;;) {
      run.walking = true;
      for (;;) {
        let best = -1;
        let from = -1;
        for (let s = 0; s < 4; s++) {
          const heap = ready[s];
          if (heap.length === 0 || busy[s]) continue;
          if (best < 0 || heap[0] < best) {
            best = heap[0];
            from = s;
          }
        }
        if (from < 0) break;
        popReady(ready[from]);
        run.readyCount--;
        this.issue(run, best);
      }
      run.walking = false;
      if (deferred.length === 0) return;
      for (const node of deferred) pushReady(ready[run.program.slot[node]], node);
      deferred.length = 0;
      if (this.options.stockSkips) return;
    }
  }

  private issue(run: Run, node: number): void {
    const { program } = run;
    const now = this.core.nowNs;
    const op = program.op[node];
    if (this.onNode !== undefined) this.onNode('issue', run, node, now);
    if (op === Op.skip) {
      run.nodesDone++;
      run.lastEndNs = now;
      if (this.onNode !== undefined) this.onNode('end', run, node, now);
      this.release(run, node);
      return;
    }
    run.account(now);
    run.ongoing++;
    const slot = program.slot[node];
    if (slot !== Slot.none) {
      run.busy[slot] = true;
      run.holder[slot] = node;
    }
    if (op !== Op.receive) count(run, program.stat[node], 1);
    if (op === Op.compute) {
      this.issueCompute(run, node, slot);
      return;
    }
    try {
      this.act(run, node, op);
    } catch (error) {
      throw refusedAt(error, run, node);
    }
  }

  private act(run: Run, node: number, op: number): void {
    const task = this.takeTask(run, node, node);
    switch (op) {
      case Op.collective:
        this.actions.collective(run, node, task);
        break;
      case Op.send:
        this.actions.send(run, node, task);
        break;
      case Op.receive:
        this.actions.receive(run, node, task);
        break;
      case Op.memory:
        this.countMemory(run, node);
        this.actions.memoryAccess(run, node, task);
        break;
      case Op.pim:
        this.countMemory(run, node);
        this.actions.pim(run, node, task);
        break;
      default:
        this.core.after(run.npu, run.program.durationNs[node], Kind.nodeEnd, task);
    }
  }

  private countMemory(run: Run, node: number): void {
    const { program } = run;
    run.memoryBytes += program.graph.tensorSizeBytes[rowOf(program, node)];
  }

  private issueCompute(run: Run, node: number, slot: number): void {
    const { program } = run;
    let last = node;
    let durationNs = program.durationNs[node];
    if (
      (this.options.chains || run.undisturbed) &&
      this.onNode === undefined &&
      run.ongoing === 1 &&
      run.readyCount === 0 &&
      run.deferred.length === 0
    ) {
      last = program.chainEnd[node];
      durationNs = program.chainNs[node];
    }
    const { slowdown } = this.options;
    if (slowdown !== undefined && slowdown[run.npu] !== 1) {
      durationNs = slowed(program, node, last, slowdown[run.npu]);
    }
    if (slot !== Slot.cpu) run.gpuNs += durationNs;
    this.core.after(run.npu, durationNs, Kind.nodeEnd, this.takeTask(run, last, node));
  }

  /** Memory for a run's counts; given back when it ends. */
  private takeWaiting(nodeCount: number): Int32Array {
    const size = Math.max(6, Math.ceil(Math.log2(nodeCount + 1)));
    return this.freeWaiting[size]?.pop() ?? new Int32Array(2 ** size);
  }

  private giveWaiting({ waiting }: Run): void {
    const size = Math.log2(waiting.length);
    this.freeWaiting[size] ??= [];
    this.freeWaiting[size].push(waiting);
  }

  private takeTask(run: Run, node: number, first: number): number {
    const task = this.freeTasks.pop() ?? this.taskRun.length;
    if (task === this.taskNode.length) {
      this.taskNode = grownInt32(this.taskNode);
      this.taskFirst = grownInt32(this.taskFirst);
    }
    this.taskRun[task] = run;
    this.taskNode[task] = node;
    this.taskFirst[task] = first;
    return task;
  }

  private endIfDone(run: Run): void {
    if (run.finished || run.readyCount > 0 || run.ongoing > 0) return;
    run.account(this.core.nowNs);
    run.finished = true;
    run.finishNs = this.core.nowNs;
    this.giveWaiting(run);
    this.actions.runFinished(run);
  }
}

/** The node is named here, once for all actions, so that none makes its text for every node. */
function refusedAt(error: unknown, { npu, program }: Run, node: number): unknown {
  if (!(error instanceof UserError) || error.at !== undefined) return error;
  const at = place(program.graph, rowOf(program, node), `NPU ${npu}`);
  const { message, hint } = error;
  return new UserError(message, hint === undefined ? { at } : { at, hint });
}

function count(run: Run, stat: number, change: 1 | -1): void {
  if (stat === Stat.compute) run.computing += change;
  else if (stat === Stat.comm) run.communicating += change;
  else if (stat === Stat.memory) run.accessing += change;
}

/** Each node rounded on its own, so that a chain equals its nodes. */
function slowed(program: Program, first: number, last: number, factor: number): number {
  let total = 0;
  for (let i = first; ; i = program.child[program.childStart[i]]) {
    total += Math.round(program.durationNs[i] * factor);
    if (i === last) return total;
  }
}
