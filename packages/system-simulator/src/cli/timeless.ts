/** Compute nodes that state work but no time, as generators of symbolic traces write them. */
import { Attr, type ExecutionGraph, NodeType } from '@astrolabe/chakra';

/**
 * What to tell of graphs that are run by their recorded durations; undefined if they have them.
 * @param each what such a node takes, in words
 */
export function timelessNote(graphs: Iterable<ExecutionGraph>, each: string): string | undefined {
  let count = 0;
  let total = 0;
  for (const graph of new Set(graphs)) {
    for (let node = 0; node < graph.nodeCount; node++) {
      if (graph.type[node] !== NodeType.comp) continue;
      total++;
      const hasWork = (graph.present[node] & Attr.numOps) !== 0 && graph.numOps[node] > 0;
      if (hasWork && graph.durationNs[node] === 0) count++;
    }
  }
  // A few are short ones that were rounded to whole microseconds.
  if (count === 0 || count * 2 < total) return undefined;
  return (
    `${count} of ${total} compute nodes have num_ops and no duration: they take ${each}; ` +
    `a roofline needs a system file with roofline-enabled 1`
  );
}
