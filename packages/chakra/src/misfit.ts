/** Attributes that a node has and that cannot be read as what they should be. */
import type { Attribute, ExecutionGraph } from './graph.js';
import { knownAttributes } from './known-attributes.js';

/**
 * The attribute that a typed read of `name` at `node` would stumble over: it is there, but of a kind
 * or size that has no column (ASTRA-sim: std::bad_cast, or a value cut to 32 bits).
 */
export function misfit(graph: ExecutionGraph, node: number, name: string): Attribute | undefined {
  const list = graph.extra.get(node);
  if (list === undefined) return undefined;
  const known = knownAttributes.find((attribute) => attribute.name === name);
  if (known !== undefined && (graph.present[node] & known.bit) !== 0) return undefined;
  return list.find((attribute) => attribute.name === name);
}
