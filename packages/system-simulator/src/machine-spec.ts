/** What the machine is made of, as numbers; `clusterMachine` and the ASTRA-sim files give one. */
import type { NodeRules } from './feeder/program.js';
import type { MemorySpec } from './memory/tiers.js';
import type { MeasuredSpec } from './network/measured-times.js';
import type { NetworkSpec } from './network/topology.js';

/** `ring`, `direct`, `direct<k>` with at most k messages under way, and the two others. */
export type Implementation =
  | 'ring'
  | 'direct'
  | `direct${number}`
  | 'halvingDoubling'
  | 'doubleBinaryTree';

export interface CollectiveImplementations {
  readonly allReduce: Implementation;
  readonly allGather: Implementation;
  readonly reduceScatter: Implementation;
  readonly allToAll: Implementation;
}

/** Rings, as LLMServingSim and NCCL's large messages; an all-to-all has nothing to pass round. */
export const ringCollectives: CollectiveImplementations = {
  allReduce: 'ring',
  allGather: 'ring',
  reduceScatter: 'ring',
  allToAll: 'direct',
};

export interface MachineSpec {
  readonly numNpus: number;
  readonly network: NetworkSpec;
  readonly collectives: CollectiveImplementations;
  /** Chunks per collective, each its true size; fewer if there are fewer bytes. */
  readonly splits: number;
  /** Chunks of one collective that run at once. */
  readonly activeChunks: number;
  /** What every packet waits at the NPU's boundary, ns. */
  readonly endpointDelayNs: number;
  /** GB/s of 10^9; reductions pay three passes over it, 0 makes them free. */
  readonly localMemoryBandwidthGBps: number;
  /** The same of every NPU, where they differ. */
  readonly localMemoryOfNpuGBps?: readonly number[];
  readonly memory: MemorySpec;
  /** Absent: the network times everything. */
  readonly measured?: MeasuredSpec;
  readonly rules?: Partial<NodeRules>;
  /** Factor on compute durations per NPU: 2 = a straggler at half speed. */
  readonly slowdown?: readonly number[];
  /**
   * Closed forms, chains and folding, where they give the same times (default true). Without them
   * every node and message is an event.
   */
  readonly fastPaths?: boolean;
}
