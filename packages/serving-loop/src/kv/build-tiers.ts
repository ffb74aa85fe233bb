/**
 * From the cluster's list of KV tiers to the pools of every instance. Memory is divided honestly:
 * instances that share a tier use one pool of the whole, instances that do not get an equal part
 * each, of their node's memory or of all CXL devices.
 */
import { assert, bytesPerGiB, UserError } from '@astrolabe/base';
import {
  type Cluster,
  type Instance,
  type KvTierFile,
  kvBytesPerTokenPerLayer,
  pipelineLayers,
  weightBytesOnCxl,
  weightBytesOnHost,
} from '@astrolabe/config';
import { type KvTier, KvTiers } from './kv-tiers.js';
import { TierStore } from './tier-store.js';

export interface TierPool {
  readonly name: KvTierFile['tier'];
  readonly store: TierStore;
  /** The node; -1 for a pool of the cluster. */
  readonly node: number;
  /** Instances that use it. */
  readonly instances: readonly number[];
  /** Names it in results: `node0/host`, `instance1/host`, `cluster/cxl`. */
  readonly label: string;
}

interface BuiltTiers {
  /** By instance; undefined: the device is all it has. */
  readonly instances: readonly (KvTiers | undefined)[];
  readonly pools: readonly TierPool[];
}

/** @throws UserError a tier that some node does not have, or chunks that hold no whole block */
export function buildTiers(cluster: Cluster): BuiltTiers {
  const users = cluster.instances.filter((instance) => instance.engine.enablePrefixCaching);
  const pools: TierPool[] = [];
  const namespaces = new Map<string, number>();
  const numCxl = cluster.cxl?.numDevices ?? 1;
  const perInstance = cluster.instances.map((): KvTier[] => []);
  const taken = new Map<string, number>();
  (cluster.kvTiers ?? []).forEach((spec, position) => {
    const at = `${cluster.kvTiersPlace ?? 'kv_tiers'}[${position}]`;
    for (const group of reach(users, spec)) {
      const share = spec.shared ? [group] : group.map((instance) => [instance]);
      const whole = capacityOf(cluster, spec, group[0].node, taken, at);
      const capacity = Math.floor(whole / share.length);
      for (const members of share) {
        const pool = poolOf(spec, members, capacity);
        pools.push(pool);
        for (const instance of members) {
          perInstance[instance.index].push(tierOf(spec, pool, instance, namespaces, numCxl, at));
        }
      }
    }
  });
  return {
    instances: perInstance.map((tiers, index) =>
      tiers.length === 0
        ? undefined
        : new KvTiers(tiers, cluster.instances[index].engine.blockSize),
    ),
    pools,
  };
}

/** Groups of instances that reach the same memory: a node's for host and storage, all for CXL. */
function reach(users: readonly Instance[], spec: KvTierFile): Instance[][] {
  if (users.length === 0) return [];
  if (spec.tier === 'cxl') return [[...users]];
  const nodes = [...new Set(users.map((instance) => instance.node))];
  return nodes.map((node) => users.filter((instance) => instance.node === node));
}

/**
 * What weights off the device and tiers before leave of the memory is there.
 * @param taken by tiers before, by memory
 */
function capacityOf(
  cluster: Cluster,
  spec: KvTierFile,
  node: number,
  taken: Map<string, number>,
  at: string,
): number {
  const { instances } = cluster;
  const sizes = {
    host: cluster.nodes[node]?.hostMemory.sizeBytes,
    storage: cluster.nodes[node]?.storage?.sizeBytes,
    cxl: cluster.cxl === undefined ? undefined : cluster.cxl.sizeBytes * cluster.cxl.numDevices,
  };
  const weights = {
    host: weightBytesOnHost(instances, node),
    storage: 0,
    cxl: weightBytesOnCxl(instances, cluster.cxl?.numDevices ?? 0),
  };
  const memory = spec.tier === 'cxl' ? 'cxl' : `${spec.tier} ${node}`;
  const size = sizes[spec.tier];
  if (size === undefined) {
    const missing = spec.tier === 'cxl' ? 'the cluster has no cxl_mem' : 'its node has no storage';
    throw new UserError(missing, { at: `${at}.tier` });
  }
  const used = weights[spec.tier] + (taken.get(memory) ?? 0);
  const available = size - used;
  const wanted = spec.capacity === undefined ? available : spec.capacity * bytesPerGiB;
  if (wanted > available || available <= 0) {
    const gib = (bytes: number): string => (bytes / bytesPerGiB).toFixed(1);
    const problem =
      spec.capacity === undefined
        ? 'nothing is left'
        : `${spec.capacity} GiB, but there are ${gib(available)} GiB`;
    const rest = used > 0 ? `: weights and tiers before take the rest of ${gib(size)}` : '';
    throw new UserError(`${problem}${rest}`, { at: `${at}.capacity` });
  }
  taken.set(memory, (taken.get(memory) ?? 0) + wanted);
  return wanted;
}

function poolOf(spec: KvTierFile, members: readonly Instance[], capacity: number): TierPool {
  const node = spec.tier === 'cxl' && spec.shared ? -1 : members[0].node;
  const place = !spec.shared ? `instance${members[0].index}` : node < 0 ? 'cluster' : `node${node}`;
  return {
    name: spec.tier,
    store: new TierStore(capacity),
    node,
    instances: members.map((instance) => instance.index),
    label: `${place}/${spec.tier}`,
  };
}

function tierOf(
  spec: KvTierFile,
  pool: TierPool,
  instance: Instance,
  namespaces: Map<string, number>,
  numCxlDevices: number,
  at: string,
): KvTier {
  const { blockSize, kvCacheDtype } = instance.engine;
  const chunkTokens = Math.floor(spec.chunk_tokens / blockSize) * blockSize;
  if (chunkTokens === 0) {
    throw new UserError(
      `${spec.chunk_tokens} tokens hold no block of ${blockSize} (${instance.name})`,
      { at: `${at}.chunk_tokens` },
    );
  }
  const { model, tp, pp } = instance;
  const kind = [model.name, kvCacheDtype, blockSize, chunkTokens, tp, pp].join('|');
  const namespace = namespaces.get(kind) ?? namespaces.size;
  namespaces.set(kind, namespace);
  const rankBytes = chunkBytesPerRank(instance, chunkTokens);
  assert(rankBytes.length === instance.npus.length, 'one share per rank');
  return {
    name: spec.tier,
    store: pool.store,
    node: instance.node,
    numDevices: spec.tier === 'cxl' ? numCxlDevices : 1,
    chunkTokens,
    chunkBytes: rankBytes.reduce((sum, bytes) => sum + bytes, 0),
    rankBytes,
    blocking: spec.load === 'blocking',
    saveOutput: spec.save === 'all',
    namespace,
  };
}

/** What each rank holds of one chunk: its heads (replicated when they are few) of its layers. */
function chunkBytesPerRank(instance: Instance, chunkTokens: number): number[] {
  const { model, tp, pp, engine } = instance;
  const perLayer = chunkTokens * kvBytesPerTokenPerLayer(model, tp, engine.kvCacheDtype);
  return pipelineLayers(model.numLayers, pp).flatMap((layers) =>
    new Array<number>(tp).fill(layers * perLayer),
  );
}
