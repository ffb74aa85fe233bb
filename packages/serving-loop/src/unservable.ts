/** Which requests of a workload no instance could ever serve: known before anything runs. */
import type { Cluster } from '@astrolabe/config';
import type { Request, RequestId } from '@astrolabe/workload';
import { Admission, type Refusal } from './admission.js';
import { type EngineEvents, InstanceEngine } from './instance-engine.js';

export interface Unservable extends Refusal {
  readonly request: RequestId;
}

const nothing = (): void => {};
/** Of engines that never run. */
const silent: EngineEvents = {
  submit: nothing,
  move: nothing,
  finished: nothing,
  reserved: nothing,
  seenAt: (knownNs) => knownNs,
};

/** In order of the workload. */
export function unservable(cluster: Cluster, requests: readonly Request[]): Unservable[] {
  const engines = cluster.instances.map(
    (instance) => new InstanceEngine(instance, silent, { warmUpNs: 0 }),
  );
  const admission = new Admission(engines);
  return requests.flatMap((request) => {
    const refusal = admission.refusalOf(request);
    return refusal === undefined ? [] : [{ request: request.id, ...refusal }];
  });
}
