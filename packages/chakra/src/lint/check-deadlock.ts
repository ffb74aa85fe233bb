/**
 * Whether the NPUs as a whole can finish: a receive waits for its send, a collective for all its
 * members, a node for its parents. Time plays no part, so what is found here stalls on any machine.
 */
import { NodeType } from '../node-type.js';
import type { ResolvedGraph } from './check-dependencies.js';
import type { NodeRef } from './check-messages.js';
import type { Findings, LintInput } from './finding.js';

export function checkDeadlock(
  inputs: readonly LintInput[],
  resolved: readonly ResolvedGraph[],
  pairs: readonly (readonly [NodeRef, NodeRef])[],
  meetings: readonly (readonly NodeRef[])[],
  findings: Findings,
): void {
  const run = new TimelessRun(resolved);
  for (const [send, receive] of pairs) run.connect(send, receive);
  run.finishAll(meetings);
  report(inputs, run, findings);
}

/** Runs all graphs without time. Nodes of all graphs have one number: that in theirs, and an offset. */
class TimelessRun {
  readonly offset: number[] = [];
  readonly isDone: Uint8Array;
  /** Parents not yet done, and of a receive its send. */
  readonly waiting: Int32Array;
  private readonly resolved: readonly ResolvedGraph[];
  /** Receives whose send has ended: what they still wait for is their own parents. */
  readonly isSent: Uint8Array;
  private readonly receiveOf = new Map<number, number>();
  private readonly ready: number[] = [];

  constructor(resolved: readonly ResolvedGraph[]) {
    this.resolved = resolved;
    let total = 0;
    for (const { parentStart } of resolved) {
      this.offset.push(total);
      total += parentStart.length - 1;
    }
    this.isDone = new Uint8Array(total);
    this.waiting = new Int32Array(total);
    this.isSent = new Uint8Array(total);
    for (const [index, { parentStart }] of resolved.entries()) {
      for (let node = 0; node < parentStart.length - 1; node++) {
        this.waiting[this.offset[index] + node] = parentStart[node + 1] - parentStart[node];
      }
    }
  }

  connect(send: NodeRef, receive: NodeRef): void {
    this.waiting[this.at(receive)]++;
    this.receiveOf.set(this.at(send), this.at(receive));
  }

  /** @param meetings nodes that end together, when all of them can */
  finishAll(meetings: readonly (readonly NodeRef[])[]): void {
    const meetingOf = new Map<number, number>();
    for (const [index, members] of meetings.entries()) {
      for (const member of members) meetingOf.set(this.at(member), index);
    }
    const arrived = new Int32Array(meetings.length);
    for (const [node, count] of this.waiting.entries()) if (count === 0) this.ready.push(node);
    while (this.ready.length > 0) {
      const node = this.ready.pop()!;
      const meeting = meetingOf.get(node);
      if (meeting === undefined) this.finish(node);
      else if (++arrived[meeting] === meetings[meeting].length) {
        for (const member of meetings[meeting]) this.finish(this.at(member));
      }
    }
  }

  private at(ref: NodeRef): number {
    return this.offset[ref.input] + ref.node;
  }

  private finish(node: number): void {
    this.isDone[node] = 1;
    const index = this.graphOf(node);
    const { childStart, child } = this.resolved[index];
    const local = node - this.offset[index];
    for (let i = childStart[local]; i < childStart[local + 1]; i++) {
      this.release(this.offset[index] + child[i]);
    }
    const receive = this.receiveOf.get(node);
    if (receive === undefined) return;
    this.isSent[receive] = 1;
    this.release(receive);
  }

  private release(node: number): void {
    if (--this.waiting[node] === 0) this.ready.push(node);
  }

  /** The last graph whose offset is not beyond the node. */
  private graphOf(node: number): number {
    let low = 0;
    let high = this.offset.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offset[middle] <= node) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The first stuck communication of each stuck NPU: free in its own graph, waiting for others. */
function report(
  inputs: readonly LintInput[],
  { offset, isDone, isSent, waiting }: TimelessRun,
  findings: Findings,
): void {
  const stuck: string[] = [];
  let first: { input: LintInput; node: number } | undefined;
  for (const [index, input] of inputs.entries()) {
    const { graph, npu } = input;
    for (let node = 0; node < graph.nodeCount; node++) {
      const number = offset[index] + node;
      // A receive waits for its send alone (1), a collective for nothing in its own graph (0).
      const isReceive = graph.type[node] === NodeType.commRecv;
      if (isDone[number] === 1 || isSent[number] === 1) continue;
      if (waiting[number] !== (isReceive ? 1 : 0)) continue;
      first ??= { input, node };
      stuck.push(`NPU ${npu} in "${graph.strings[graph.name[node]]}" (id ${graph.id[node]})`);
      break;
    }
  }
  if (first === undefined) return;
  const more = stuck.length > 4 ? ` and ${stuck.length - 4} more` : '';
  const message = `NPUs wait for each other: ${stuck.slice(0, 4).join(', ')}${more}`;
  findings.add('deadlock', first.input, first.node, message);
}
