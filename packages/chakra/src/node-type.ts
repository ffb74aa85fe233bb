/** Node, collective and memory kinds with upstream Chakra numbering (schema 0.0.4 = 1.0.0). */

export const NodeType = {
  invalid: 0,
  metadata: 1,
  memLoad: 2,
  memStore: 3,
  comp: 4,
  commSend: 5,
  commRecv: 6,
  commColl: 7,
  /** Exists only in LLMServingSim's fork (there 4); on an upstream wire it is a COMP node. */
  pimComp: 8,
} as const;
export type NodeType = (typeof NodeType)[keyof typeof NodeType];

export const CollectiveType = {
  allReduce: 0,
  reduce: 1,
  allGather: 2,
  gather: 3,
  scatter: 4,
  broadcast: 5,
  allToAll: 6,
  reduceScatter: 7,
  reduceScatterBlock: 8,
  barrier: 9,
} as const;
export type CollectiveType = (typeof CollectiveType)[keyof typeof CollectiveType];

/** Where a tensor lives (`tensor_loc`), numbering of LLMServingSim's fork. */
export const TensorLocation = { none: 0, local: 1, remote: 2, cxl: 3, storage: 4 } as const;
export type TensorLocation = (typeof TensorLocation)[keyof typeof TensorLocation];

/** Names of the upstream enum, by column value; PIM_COMP is the fork's. */
export const nodeTypeNames: readonly string[] = [
  'INVALID',
  'METADATA',
  'MEM_LOAD',
  'MEM_STORE',
  'COMP',
  'COMM_SEND',
  'COMM_RECV',
  'COMM_COLL',
  'PIM_COMP',
];

/** Names by comm_type. */
export const collectiveNames: readonly string[] = [
  'ALL_REDUCE',
  'REDUCE',
  'ALL_GATHER',
  'GATHER',
  'SCATTER',
  'BROADCAST',
  'ALL_TO_ALL',
  'REDUCE_SCATTER',
  'REDUCE_SCATTER_BLOCK',
  'BARRIER',
];
