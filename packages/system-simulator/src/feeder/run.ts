/** The state of one program on one NPU (or on several that behave alike): what waits, runs, is done. */
import type { Program } from './program.js';

export class Run {
  readonly program: Program;
  /** Where it runs; for a folded run the first of `npus`. */
  readonly npu: number;
  /** All NPUs this run stands for. */
  readonly npus: readonly number[];
  /** Parents not yet done, per node. */
  readonly waiting: Int32Array;
  /** Ready nodes per slot, as heaps by node. */
  readonly ready: readonly [number[], number[], number[], number[]] = [[], [], [], []];
  readonly busy = [false, false, false, false];
  /** Freed while the ready nodes are being walked: for the next walk. */
  readonly deferred: number[] = [];
  /** Node in each slot, for reports. */
  readonly holder = [-1, -1, -1, -1];
  walking = false;
  /** Nothing can interfere with it whatever it does: its chains are one event. */
  undisturbed = false;
  ongoing = 0;
  readyCount = 0;
  nodesDone = 0;
  finished = false;
  startNs = 0;
  finishNs = 0;
  /** Latest end of a node. */
  lastEndNs = 0;

  /** Number of nodes under way of each class, and the times accounted so far. */
  computing = 0;
  communicating = 0;
  accessing = 0;
  accountedNs = 0;
  computeNs = 0;
  /** Union of the communication intervals, covered or not. */
  commNs = 0;
  exposedCommNs = 0;
  exposedMemoryNs = 0;
  commBytes = 0;
  memoryBytes = 0;
  /** Collectives (each at one of its members) and messages sent, by what timed them. */
  measured = 0;
  measuredBeyond = 0;
  simulated = 0;
  /** Sum of durations of compute nodes not on the CPU. */
  gpuNs = 0;

  /** @param waiting memory for at least as many nodes as the program has. */
  constructor(program: Program, npus: readonly number[], waiting: Int32Array) {
    this.program = program;
    this.npus = npus;
    this.npu = npus[0];
    waiting.set(program.parents);
    this.waiting = waiting;
  }

  /** Accounts the time up to now to what was under way. Call before any count changes. */
  account(nowNs: number): void {
    const elapsed = nowNs - this.accountedNs;
    if (elapsed > 0) {
      if (this.communicating > 0) this.commNs += elapsed;
      if (this.computing > 0) this.computeNs += elapsed;
      else if (this.communicating > 0) this.exposedCommNs += elapsed;
      else if (this.accessing > 0) this.exposedMemoryNs += elapsed;
    }
    this.accountedNs = nowNs;
  }
}

export function pushReady(heap: number[], node: number): void {
  let i = heap.length;
  heap.push(node);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent] <= node) break;
    heap[i] = heap[parent];
    i = parent;
  }
  heap[i] = node;
}

export function popReady(heap: number[]): number {
  const top = heap[0];
  const last = heap.pop() as number;
  const n = heap.length;
  if (n === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= n) break;
    if (child + 1 < n && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= last) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = last;
  return top;
}
