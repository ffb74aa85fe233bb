/**
 * Whether the NPUs as a whole can finish: a receive waits for its send, a collective for all its
 * members, a node for its parents. Time plays no part, so what is found here stalls on any machine.
 */
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
  // Nodes of all graphs get one number; each collective adds a node that all members wait for.
  const offset: number[] = [];
  let total = 0;
  for (const input of inputs) {
    offset.push(total);
    total += input.graph.nodeCount;
  }
  const at = (ref: NodeRef): number => offset[ref.input] + ref.node;
  const waiting = new Int32Array(total);
  const sendOf = new Map<number, number[]>();
  const meetingsOf = new Map<number, number[]>();
  const append = (map: Map<number, number[]>, key: number, value: number): void => {
    const list = map.get(key);
    if (list === undefined) map.set(key, [value]);
    else list.push(value);
  };
  for (const [index, graph] of resolved.entries()) {
    for (let node = 0; node < inputs[index].graph.nodeCount; node++) {
      waiting[offset[index] + node] = graph.parentStart[node + 1] - graph.parentStart[node];
    }
  }
  for (const [send, receive] of pairs) {
    waiting[at(receive)]++;
    append(sendOf, at(send), at(receive));
  }
  const arrived = new Int32Array(meetings.length);
  for (const [index, members] of meetings.entries()) {
    for (const member of members) append(meetingsOf, at(member), index);
  }
  const ready: number[] = [];
  for (let node = 0; node < total; node++) if (waiting[node] === 0) ready.push(node);
  const isDone = new Uint8Array(total);
  const inputOf = (node: number): number => {
    let low = 0;
    let high = offset.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (offset[middle] <= node) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const finish = (node: number): void => {
    isDone[node] = 1;
    const index = inputOf(node);
    const { childStart, child } = resolved[index];
    const local = node - offset[index];
    for (let i = childStart[local]; i < childStart[local + 1]; i++) {
      const next = offset[index] + child[i];
      if (--waiting[next] === 0) ready.push(next);
    }
    for (const next of sendOf.get(node) ?? []) if (--waiting[next] === 0) ready.push(next);
  };
  while (ready.length > 0) {
    const node = ready.pop()!;
    const meeting = meetingsOf.get(node)?.[0];
    if (meeting === undefined) finish(node);
    else if (++arrived[meeting] === meetings[meeting].length) {
      for (const member of meetings[meeting]) finish(at(member));
    }
  }
  report(inputs, offset, isDone, waiting, findings);
}

/** The first stuck communication of each stuck NPU: free in its own graph, waiting for others. */
function report(
  inputs: readonly LintInput[],
  offset: readonly number[],
  isDone: Uint8Array,
  waiting: Int32Array,
  findings: Findings,
): void {
  const stuck: string[] = [];
  let first: { input: LintInput; node: number } | undefined;
  for (const [index, input] of inputs.entries()) {
    const { graph, npu } = input;
    for (let node = 0; node < graph.nodeCount; node++) {
      const number = offset[index] + node;
      // A receive waits for its send alone (1), a collective for nothing in its own graph (0).
      const isReceive = graph.type[node] === 6;
      if (isDone[number] === 1 || waiting[number] !== (isReceive ? 1 : 0)) continue;
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
