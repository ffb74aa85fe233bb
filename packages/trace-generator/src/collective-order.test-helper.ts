/** The order in which a graph's collectives run, whatever else is ready first: for tests. */
import { type ExecutionGraph, NodeType } from '@astrolabe/chakra';

/** Names in order. @throws Error collectives of which none waits for the other */
export function collectiveOrder(graph: ExecutionGraph): string[] {
  const before: Set<number>[] = [];
  const order: number[] = [];
  for (let node = 0; node < graph.nodeCount; node++) {
    const own = new Set<number>();
    for (let i = graph.dataDepStart[node]; i < graph.dataDepStart[node + 1]; i++) {
      const parent = graph.dataDep[i];
      own.add(parent);
      for (const other of before[parent]) own.add(other);
    }
    before.push(own);
    if (graph.type[node] !== NodeType.commColl) continue;
    const unordered = order.find((other) => !own.has(other));
    const nameOf = (id: number): string => graph.strings[graph.name[id]];
    if (unordered !== undefined) {
      throw new Error(`${nameOf(node)} does not wait for ${nameOf(unordered)}`);
    }
    order.push(node);
  }
  return order.map((node) => graph.strings[graph.name[node]]);
}
