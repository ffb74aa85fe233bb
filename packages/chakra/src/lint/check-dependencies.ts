/**
 * Rules about one graph's ids and edges: duplicates, orphans, cycles. Also gives the edges as indices
 * and the nodes in issue order (dependencies first, among free nodes the smallest id), which the
 * rules across NPUs need.
 */
import type { ExecutionGraph } from '../graph.js';
import type { Findings, LintInput } from './finding.js';

/** A graph's edges from parent to child, both ways, as node indices. */
export interface ResolvedGraph {
  readonly parentStart: Int32Array;
  readonly parent: Int32Array;
  readonly childStart: Int32Array;
  readonly child: Int32Array;
  /** Node indices in issue order, then those on or behind a cycle in order of the file. */
  readonly order: Int32Array;
  /** How many of `order` are not on or behind a cycle. */
  readonly freeCount: number;
}

/** Ids to indices, edges both ways and an order of issue; what is wrong with them goes to `findings`. */
export function checkDependencies(input: LintInput, findings: Findings): ResolvedGraph {
  const { graph } = input;
  const count = graph.nodeCount;
  const indexOf = new Map<number, number>();
  for (let node = 0; node < count; node++) {
    const first = indexOf.get(graph.id[node]);
    if (first !== undefined) {
      findings.add('duplicate-id', input, node, `node ${first} has the id ${graph.id[node]} too`);
    } else indexOf.set(graph.id[node], node);
  }
  const parentStart = new Int32Array(count + 1);
  const parent = new Int32Array(graph.dataDep.length + graph.ctrlDep.length);
  let edges = 0;
  const resolve = (node: number, id: number, kind: string): void => {
    const index = indexOf.get(id);
    if (index !== undefined) parent[edges++] = index;
    else {
      const message = `${kind} on id ${id}, which the graph does not have`;
      findings.add('orphan-dependency', input, node, message);
    }
  };
  for (let node = 0; node < count; node++) {
    for (let i = graph.dataDepStart[node]; i < graph.dataDepStart[node + 1]; i++) {
      resolve(node, graph.dataDep[i], 'data_dep');
    }
    for (let i = graph.ctrlDepStart[node]; i < graph.ctrlDepStart[node + 1]; i++) {
      resolve(node, graph.ctrlDep[i], 'ctrl_dep');
    }
    parentStart[node + 1] = edges;
  }
  const { childStart, child } = children(count, parentStart, parent);
  const { order, freeCount } = issueOrder(graph, parentStart, childStart, child);
  const resolved = { parentStart, parent, childStart, child, order, freeCount };
  if (freeCount < count) reportCycles(input, resolved, findings);
  return resolved;
}

function children(
  count: number,
  parentStart: Int32Array,
  parent: Int32Array,
): { childStart: Int32Array; child: Int32Array } {
  const edges = parentStart[count];
  const childStart = new Int32Array(count + 1);
  for (let i = 0; i < edges; i++) childStart[parent[i] + 1]++;
  for (let i = 0; i < count; i++) childStart[i + 1] += childStart[i];
  const next = childStart.slice(0, count);
  const child = new Int32Array(edges);
  for (let node = 0; node < count; node++) {
    for (let i = parentStart[node]; i < parentStart[node + 1]; i++) child[next[parent[i]]++] = node;
  }
  return { childStart, child };
}

/** Kahn's order with a binary heap on the id. */
function issueOrder(
  graph: ExecutionGraph,
  parentStart: Int32Array,
  childStart: Int32Array,
  child: Int32Array,
): { order: Int32Array; freeCount: number } {
  const { id, nodeCount } = graph;
  const waiting = new Int32Array(nodeCount);
  const heap = new MinHeap(id);
  for (let node = 0; node < nodeCount; node++) {
    waiting[node] = parentStart[node + 1] - parentStart[node];
    if (waiting[node] === 0) heap.push(node);
  }
  const order = new Int32Array(nodeCount);
  let length = 0;
  while (heap.size > 0) {
    const node = heap.pop();
    order[length++] = node;
    for (let i = childStart[node]; i < childStart[node + 1]; i++) {
      if (--waiting[child[i]] === 0) heap.push(child[i]);
    }
  }
  const freeCount = length;
  for (let node = 0; node < nodeCount; node++) if (waiting[node] > 0) order[length++] = node;
  return { order, freeCount };
}

/** Node indices by ascending key, the lower index first among equals. */
class MinHeap {
  size = 0;
  private readonly items: number[] = [];
  private readonly key: Float64Array;

  constructor(key: Float64Array) {
    this.key = key;
  }

  push(item: number): void {
    const { items } = this;
    let at = this.size++;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!this.isBefore(item, items[up])) break;
      items[at] = items[up];
      at = up;
    }
    items[at] = item;
  }

  pop(): number {
    const { items } = this;
    const first = items[0];
    const item = items[--this.size];
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= this.size) break;
      if (down + 1 < this.size && this.isBefore(items[down + 1], items[down])) down++;
      if (!this.isBefore(items[down], item)) break;
      items[at] = items[down];
      at = down;
    }
    items[at] = item;
    return first;
  }

  private isBefore(a: number, b: number): boolean {
    return this.key[a] < this.key[b] || (this.key[a] === this.key[b] && a < b);
  }
}

/** Every node left over waits for another: walking up from it ends in a cycle. */
function reportCycles(input: LintInput, resolved: ResolvedGraph, findings: Findings): void {
  const { graph } = input;
  const walkOf = new Int32Array(graph.nodeCount);
  walkOf.fill(-1);
  for (const node of resolved.order.subarray(0, resolved.freeCount)) walkOf[node] = graph.nodeCount;
  for (let start = 0; start < graph.nodeCount; start++) {
    const path: number[] = [];
    let node = start;
    while (walkOf[node] === -1) {
      walkOf[node] = start;
      path.push(node);
      node = waitingParent(node, resolved, walkOf, graph.nodeCount);
    }
    if (walkOf[node] !== start || path.length === 0) continue;
    const cycle = fromLowest(path.slice(path.indexOf(node)).reverse());
    const ids = cycle.slice(0, 6).map((member) => graph.id[member]);
    const more = cycle.length > ids.length ? ' ...' : ` -> ${ids[0]}`;
    const message = `${cycle.length} nodes wait for each other: ids ${ids.join(' -> ')}${more}`;
    findings.add(
      'cycle',
      input,
      cycle[0],
      cycle.length === 1 ? 'the node waits for itself' : message,
    );
  }
}

/** The same cycle, starting at its lowest node. */
function fromLowest(cycle: number[]): number[] {
  let lowest = 0;
  for (let i = 1; i < cycle.length; i++) if (cycle[i] < cycle[lowest]) lowest = i;
  return [...cycle.slice(lowest), ...cycle.slice(0, lowest)];
}

function waitingParent(
  node: number,
  resolved: ResolvedGraph,
  walkOf: Int32Array,
  done: number,
): number {
  for (let i = resolved.parentStart[node]; i < resolved.parentStart[node + 1]; i++) {
    if (walkOf[resolved.parent[i]] !== done) return resolved.parent[i];
  }
  return node;
}
