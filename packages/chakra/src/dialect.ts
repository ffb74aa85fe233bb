/**
 * The two wire dialects. They share et_def.proto's messages and differ in the numbering of node types
 * and in the unit of `duration_micros`; nothing in a file says which one it is. Graphs in memory hold
 * ns and our own numbering (node-type.ts): upstream's, with the fork's PIM_COMP as 8 and a wire value
 * that a dialect does not know moved above that.
 *
 * - `upstream` (mlcommons, ASTRA-sim): microseconds; exact ns in the attribute `duration_ns`; a PIM
 *   node is a COMP node with the attribute `is_pim`.
 * - `llmservingsim` (casys-kaist fork): `duration_micros` holds ns; PIM_COMP 4, COMP 5, SEND 6, ...
 */
import { NodeType } from './node-type.js';

export const dialects = ['upstream', 'llmservingsim'] as const;
export type Dialect = (typeof dialects)[number];

/** First column value of types that no dialect knows: wire value 8 upstream is 9 in memory. */
const firstUnknown = 9;
/** Largest wire value of the enum that a column can hold. */
export const maxWireType = 254;

const forkToColumn = [
  NodeType.invalid,
  NodeType.metadata,
  NodeType.memLoad,
  NodeType.memStore,
  NodeType.pimComp,
  NodeType.comp,
  NodeType.commSend,
  NodeType.commRecv,
  NodeType.commColl,
] as const;

function tables(toColumn: (wire: number) => number): { read: Uint8Array; write: Uint8Array } {
  const read = new Uint8Array(maxWireType + 1);
  const write = new Uint8Array(256);
  for (let wire = 0; wire <= maxWireType; wire++) {
    read[wire] = toColumn(wire);
    write[read[wire]] = wire;
  }
  return { read, write };
}

/** Node type numbers: `read[wire]` is the column's value, `write[column]` the wire's. */
export const nodeTypeTables: Record<Dialect, { read: Uint8Array; write: Uint8Array }> = {
  upstream: tables((wire) => (wire < 8 ? wire : wire + 1)),
  llmservingsim: tables((wire) => (wire < 9 ? forkToColumn[wire] : wire)),
};
// Upstream has no number for a PIM node: it is a COMP node with an attribute.
nodeTypeTables.upstream.write[NodeType.pimComp] = NodeType.comp;

/** The wire's enum value of a node type that its dialect does not know, else undefined. */
export function unknownTypeOf(type: number, dialect: Dialect = 'upstream'): number | undefined {
  return type < firstUnknown ? undefined : nodeTypeTables[dialect].write[type];
}
