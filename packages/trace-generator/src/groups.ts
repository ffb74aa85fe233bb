/**
 * Communicator groups of a cluster. Names are positive integers as text, because ASTRA-sim parses
 * `pg_name` so; they are unique over the cluster. Members are NPU ids in ring order.
 */
import { UserError } from '@astrolabe/base';
import { type Cluster, expertPeersOf, type Instance } from '@astrolabe/config';

export interface Group {
  readonly name: string;
  readonly npus: readonly number[];
}

export interface StageGroups {
  /** Ranks of one pipeline stage; undefined for a single rank. */
  readonly tensor: Group | undefined;
  /** Ranks of this stage of all instances of the data-parallel group, if they share experts. */
  readonly expert: Group | undefined;
  /** Devices of the feed-forward blocks, if there are several. */
  readonly ffn: Group | undefined;
}

/** Instances that step together because they share experts, in data-parallel rank order. */
export function expertPeers(cluster: Cluster, instance: Instance): readonly Instance[] {
  return expertPeersOf(cluster.instances, instance);
}

/** @returns `groups[instance][stage]`. @throws UserError unlike members of a data-parallel group */
export function planGroups(cluster: Cluster): StageGroups[][] {
  let next = 1;
  const known = new Map<string, Group>();
  const group = (npus: number[]): Group | undefined => {
    if (npus.length < 2) return undefined;
    const key = npus.join();
    const same = known.get(key);
    if (same !== undefined) return same;
    const made = { name: String(next++), npus };
    known.set(key, made);
    return made;
  };
  return cluster.instances.map((instance) => {
    const peers = expertPeers(cluster, instance);
    checkPeers(instance, peers);
    return Array.from({ length: instance.pp }, (_, stage) => ({
      tensor: group(stageNpus(instance, stage)),
      expert: peers.length < 2 ? undefined : group(peers.flatMap((peer) => stageNpus(peer, stage))),
      ffn: instance.ffn === undefined ? undefined : group([...instance.ffn.npus]),
    }));
  });
}

export function stageNpus(instance: Instance, stage: number): number[] {
  return instance.npus.slice(stage * instance.tp, (stage + 1) * instance.tp);
}

function checkPeers(instance: Instance, peers: readonly Instance[]): void {
  for (const peer of peers) {
    const alike =
      peer.tp === instance.tp &&
      peer.pp === instance.pp &&
      peer.ep === instance.ep &&
      peer.model.name === instance.model.name;
    checkBalancing(instance, peer);
    if (!alike) {
      throw new UserError(
        `instances "${instance.name}" and "${peer.name}" of data-parallel group ` +
          `"${instance.dpGroup}" share experts and must agree in model, TP, PP and EP`,
        { at: peer.place },
      );
    }
  }
}

/** Load balancing moves experts on all ranks at once. @throws UserError unlike options */
function checkBalancing(instance: Instance, peer: Instance): void {
  if (instance.experts?.eplb === undefined) return;
  if (JSON.stringify(peer.experts) === JSON.stringify(instance.experts)) return;
  throw new UserError(
    `instances "${instance.name}" and "${peer.name}" of data-parallel group ` +
      `"${instance.dpGroup}" balance experts and must agree in \`experts\``,
    { at: `${peer.place}.experts` },
  );
}
