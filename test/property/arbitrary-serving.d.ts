/** Random clusters and workloads, small enough that a run takes milliseconds. */
import { type Cluster } from '@astrolabe/config';
import type { LatencyModel } from '@astrolabe/profile';
import type { Request } from '@astrolabe/workload';
import fc from 'fast-check';
export interface ServingCase {
  /** The cluster file. */
  readonly file: {
    readonly link_bw: number;
    readonly nodes: {
      readonly instances: object[];
    }[];
  };
  readonly requests: readonly Request[];
  readonly routing:
    | 'round-robin'
    | 'random'
    | 'least-loaded'
    | 'shortest-queue'
    | 'prefix-aware'
    | 'session-affine'
    | 'weighted';
  readonly seed: number;
}
export declare const servingCase: fc.Arbitrary<ServingCase>;
export declare function clusterOf(file: object): Cluster;
/** Plain formulas: 10 ns a token and operator, 100 ns a row of the head, 1 ns a context token. */
export declare const formulas: LatencyModel;
