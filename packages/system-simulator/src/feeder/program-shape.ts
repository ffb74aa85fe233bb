/** What a compiled program is; program.ts makes it from a graph. Times ns, sizes bytes. */
import type { ExecutionGraph } from '@astrolabe/chakra';

/** What a node does when it is issued. */
export const Op = {
  compute: 0,
  collective: 1,
  send: 2,
  receive: 3,
  memory: 4,
  /** Nothing: ends where it starts. */
  skip: 5,
  /** Takes its duration in the communication slot and moves nothing. */
  delay: 6,
  pim: 7,
} as const;

/** Which resource of the NPU a node holds; one node at a time each, `none` without limit. */
export const Slot = { cpu: 0, compute: 1, comm: 2, none: 3 } as const;

/** What a node's time counts as. */
export const Stat = { none: 0, compute: 1, comm: 2, memory: 3 } as const;

export interface NodeRules {
  /** Every node takes its duration and nothing else happens. */
  readonly replayOnly: boolean;
  /** Duration of nodes that state none. */
  readonly emptyDurationNs: number;
  /** Memory accesses hold the communication slot (ASTRA-sim), or none (LLMServingSim's fork). */
  readonly memorySlot: 'comm' | 'none';
  /** Compute time from operations and bytes instead of the recorded duration. */
  readonly roofline?: { readonly bytesPerSecond: number; readonly opsPerSecond: number };
  /** Control dependencies count (upstream), or are ignored (LLMServingSim's fork). */
  readonly ctrlDeps: boolean;
  /** Nodes on a dependency cycle are an error; otherwise they never run. */
  readonly refuseCycles: boolean;
  /** The network has dimensions, of which `involved_dim` may choose some. */
  readonly dimensions: boolean;
}

export const defaultRules: NodeRules = {
  replayOnly: false,
  emptyDurationNs: 0,
  memorySlot: 'none',
  ctrlDeps: true,
  refuseCycles: true,
  dimensions: false,
};

export interface Program {
  /** Holds all columns; to be given back to its pool when nobody uses the program any more. */
  readonly buffer: ArrayBuffer;
  readonly graph: ExecutionGraph;
  readonly nodeCount: number;
  /** Row of the graph's columns for each node; undefined when they are the same. */
  readonly row: Int32Array | undefined;
  readonly op: Uint8Array;
  readonly slot: Uint8Array;
  readonly stat: Uint8Array;
  readonly durationNs: Float64Array;
  readonly parents: Int32Array;
  readonly childStart: Int32Array;
  readonly child: Int32Array;
  readonly roots: readonly number[];
  /**
   * Last node of the run of compute nodes that begins here, each the only child of its only parent;
   * the node itself where there is none. With the sum of their durations.
   */
  readonly chainEnd: Int32Array;
  readonly chainNs: Float64Array;
  readonly chainCount: Int32Array;
  readonly hasMemory: boolean;
  readonly hasPointToPoint: boolean;
}

export type Columns = Pick<
  Program,
  | 'buffer'
  | 'op'
  | 'slot'
  | 'stat'
  | 'durationNs'
  | 'parents'
  | 'childStart'
  | 'child'
  | 'chainEnd'
  | 'chainNs'
  | 'chainCount'
>;

export function rowOf(program: Program, node: number): number {
  return program.row === undefined ? node : program.row[node];
}

export function place(graph: ExecutionGraph, r: number, at: string): string {
  return `${at}: node ${graph.id[r]} ("${graph.strings[graph.name[r]] ?? ''}")`;
}
