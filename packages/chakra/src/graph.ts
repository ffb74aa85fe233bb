/**
 * The execution graph of one NPU as columns: one row per Chakra node, typed arrays, dependencies as
 * compressed rows of node ids. Times are ns and node types are upstream's; dialects are converted at
 * the codec. A column has a meaning only where `present` has the attribute's bit (see `Attr`).
 */

/** Bits of `ExecutionGraph.present`: which attributes the node carries. */
export const Attr = {
  isCpuOp: 1 << 0,
  numOps: 1 << 1,
  tensorSize: 1 << 2,
  commType: 1 << 3,
  commSize: 1 << 4,
  commSrc: 1 << 5,
  commDst: 1 << 6,
  commTag: 1 << 7,
  commPriority: 1 << 8,
  pgName: 1 << 9,
  involvedDim: 1 << 10,
  tensorLoc: 1 << 11,
  tensorDevice: 1 << 12,
  tensorChannel: 1 << 13,
} as const;

/** A decoded attribute that has no column; `kind` is the oneof member's name in et_def.proto. */
export interface Attribute {
  readonly name: string;
  readonly doc?: string;
  readonly kind: string;
  /** Numbers beyond 2^53 and 64-bit lists hold bigint. */
  readonly value: number | bigint | boolean | string | Uint8Array | readonly unknown[] | undefined;
  /** The AttributeProto's bytes as read; written back as they are. Absent on attributes we make. */
  readonly raw?: Uint8Array;
}

/** What a stream's reader must know about a graph without waiting for the next one. */
export interface GraphMetadata {
  readonly version: string;
  readonly attributes: readonly Attribute[];
  /** Wire bytes of fields that the schema does not name, as read. */
  readonly fields?: readonly Uint8Array[];
}

export interface ExecutionGraph {
  metadata: GraphMetadata;
  nodeCount: number;
  readonly id: Float64Array;
  readonly type: Uint8Array;
  /** Index into `strings`. */
  readonly name: Int32Array;
  readonly present: Int32Array;
  readonly isCpuOp: Uint8Array;
  readonly durationNs: Float64Array;
  readonly numOps: Float64Array;
  readonly tensorSizeBytes: Float64Array;
  readonly commType: Uint8Array;
  /** For an all-gather the shard each rank contributes; for others the full local buffer. */
  readonly commSizeBytes: Float64Array;
  readonly commSrc: Int32Array;
  readonly commDst: Int32Array;
  readonly commTag: Int32Array;
  readonly commPriority: Int32Array;
  /** Communicator group: index into `strings`. */
  readonly pgName: Int32Array;
  /** Bit d = network dimension d takes part. */
  readonly involvedDims: Int32Array;
  readonly involvedDimCount: Uint8Array;
  readonly tensorLoc: Uint8Array;
  readonly tensorDevice: Int32Array;
  readonly tensorChannel: Int32Array;
  /** Dependencies of node i: `dataDep[dataDepStart[i] .. dataDepStart[i+1])`, node ids. */
  readonly dataDepStart: Int32Array;
  readonly dataDep: Float64Array;
  readonly ctrlDepStart: Int32Array;
  readonly ctrlDep: Float64Array;
  readonly strings: readonly string[];
  /** Attributes without a column, by node index, in wire order. They survive a round trip. */
  readonly extra: ReadonlyMap<number, readonly Attribute[]>;
  /**
   * Wire bytes of node fields without a column (start_time_micros, inputs, outputs, unknown ones), by
   * node index. They survive a round trip; `nodeFields` decodes them.
   */
  readonly fields?: ReadonlyMap<number, Uint8Array>;
}

/**
 * One engine iteration on the machine: programs of all its NPUs. Symmetric ranks share one program;
 * written to a stream or files each NPU gets its own copy.
 */
export interface GraphSet {
  readonly instance: number;
  readonly iteration: number;
  /** Nothing of it starts before this time. */
  readonly releaseNs: number;
  /**
   * Graphs of one NPU on the same lane run one after another in order of submission; lanes run side
   * by side (0 = engine iterations, 1 = KV transfers). Links are shared by all lanes.
   */
  readonly lane: number;
  readonly programs: readonly Program[];
  /** Communicator groups that the programs name, members in ring order. */
  readonly groups: Readonly<Record<string, readonly number[]>>;
}

export interface Program {
  /** NPU ids that run this graph. */
  readonly npus: readonly number[];
  readonly graph: ExecutionGraph;
}
