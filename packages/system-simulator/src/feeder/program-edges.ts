/** Who waits for whom in a program: parents as counts, children as lists, chains, cycles. */
import { UserError } from '@astrolabe/base';
import type { ExecutionGraph } from '@astrolabe/chakra';
import {
  type Columns,
  type NodeRules,
  Op,
  type Program,
  place,
  rowOf,
  Slot,
} from './program-shape.js';

/** Edges as found, before they are ordered by parent. */
let edgeFrom = new Int32Array(256);
let edgeTo = new Int32Array(256);

/** Parents are the union of data and control dependencies; one named twice counts once. */
export function linkNodes(
  graph: ExecutionGraph,
  row: Int32Array | undefined,
  rules: NodeRules,
  columns: Columns,
  at: string,
): void {
  const n = graph.nodeCount;
  const { dataDepStart, dataDep, ctrlDepStart, ctrlDep } = graph;
  const { parents, childStart, child } = columns;
  while (edgeFrom.length < child.length) {
    edgeFrom = new Int32Array(edgeFrom.length * 2);
    edgeTo = new Int32Array(edgeFrom.length);
  }
  const from = edgeFrom;
  const to = edgeTo;
  const find = idFinder(graph, row);
  let edges = 0;
  for (let i = 0; i < n; i++) {
    const r = row === undefined ? i : row[i];
    const first = edges;
    const dataEnd = dataDepStart[r + 1];
    const ctrlEnd = rules.ctrlDeps ? ctrlDepStart[r + 1] : ctrlDepStart[r];
    for (let k = dataDepStart[r], c = ctrlDepStart[r]; k < dataEnd || c < ctrlEnd; ) {
      const id = k < dataEnd ? dataDep[k++] : ctrlDep[c++];
      const parent = find(id);
      if (parent < 0) {
        throw new UserError(`depends on node ${id}, which does not exist`, {
          at: place(graph, r, at),
        });
      }
      let known = false;
      for (let e = first; e < edges && !known; e++) known = from[e] === parent;
      if (known) continue;
      from[edges] = parent;
      to[edges++] = i;
      childStart[parent]++;
    }
    parents[i] = edges - first;
  }
  // From counts to ends, then backwards to begins: children stay in order of id.
  for (let i = 1; i < n; i++) childStart[i] += childStart[i - 1];
  childStart[n] = edges;
  for (let e = edges - 1; e >= 0; e--) child[--childStart[from[e]]] = to[e];
}

/** From a node's id to its index, -1 if there is none. Dense ids need no table. */
function idFinder(graph: ExecutionGraph, row: Int32Array | undefined): (id: number) => number {
  const { id: ids, nodeCount: n } = graph;
  const base = n === 0 ? 0 : ids[row === undefined ? 0 : row[0]];
  const last = n === 0 ? -1 : ids[row === undefined ? n - 1 : row[n - 1]];
  if (last - base === n - 1) {
    return (id) => (id >= base && id <= last ? id - base : -1);
  }
  const table = new Map<number, number>();
  for (let i = 0; i < n; i++) table.set(ids[row === undefined ? i : row[i]], i);
  return (id) => table.get(id) ?? -1;
}

export function findChains(columns: Columns): void {
  const { op, slot, durationNs, parents, childStart, child } = columns;
  const { chainEnd, chainNs, chainCount } = columns;
  // Against the order of ids, which is nearly always the order of dependence; where it is not, a
  // chain is cut, never wrong.
  for (let i = op.length - 1; i >= 0; i--) {
    chainEnd[i] = i;
    chainNs[i] = durationNs[i];
    chainCount[i] = 1;
    if (op[i] !== Op.compute || slot[i] !== Slot.compute) continue;
    if (childStart[i + 1] - childStart[i] !== 1) continue;
    const only = child[childStart[i]];
    if (only <= i || parents[only] !== 1) continue;
    if (op[only] !== Op.compute || slot[only] !== Slot.compute) continue;
    chainEnd[i] = chainEnd[only];
    chainNs[i] += chainNs[only];
    chainCount[i] += chainCount[only];
  }
}

/** @throws UserError naming nodes of a dependency cycle */
export function refuseCycles(program: Program, at: string): void {
  const { nodeCount: n, parents, childStart, child, roots } = program;
  let inOrder = true;
  for (let i = 0; i < n && inOrder; i++) {
    for (let e = childStart[i]; e < childStart[i + 1]; e++) if (child[e] <= i) inOrder = false;
  }
  if (inOrder) return;
  const waiting = parents.slice();
  const ready = Array.from(roots);
  for (let k = 0; k < ready.length; k++) {
    const node = ready[k];
    for (let e = childStart[node]; e < childStart[node + 1]; e++) {
      if (--waiting[child[e]] === 0) ready.push(child[e]);
    }
  }
  if (ready.length === n) return;
  const stuck = Array.from(waiting.keys()).filter((node) => waiting[node] > 0);
  const ids = stuck.slice(0, 8).map((node) => program.graph.id[rowOf(program, node)]);
  throw new UserError(`dependency cycle: nodes ${ids.join(', ')} wait for each other`, { at });
}
