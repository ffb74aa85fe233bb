/**
 * Groups of layers for the KV cache, where only some have a window: as vLLM's hybrid KV cache manager
 * makes them (`_get_kv_cache_groups_uniform_page_size`). A group is of layers that attend alike, all
 * groups are of one size, so that one pool of equal blocks serves them; the last one of a kind is
 * filled up with layers that are not there.
 */
import type { ModelShape } from './model.js';
import type { Instance } from './resolved-cluster.js';

export interface KvGroups {
  /** Of a group: those that a block holds the KV of. */
  readonly layers: number;
  /** Groups that keep the whole context. */
  readonly full: number;
  readonly windowed: number;
}

/** Kinds of layers whose numbers differ by less make groups of the larger, not of the smaller. */
const almostAsMany = 1.25;

export function kvGroupsOf({ localAttention, numLayers }: ModelShape): KvGroups | undefined {
  if (localAttention === undefined || localAttention.chunked) return undefined;
  const local = localAttention.layers.length;
  const whole = numLayers - local;
  const [fewer, more] = [Math.min(local, whole), Math.max(local, whole)];
  if (fewer === 0) return undefined;
  const layers = more < almostAsMany * fewer ? more : fewer;
  return { layers, full: Math.ceil(whole / layers), windowed: Math.ceil(local / layers) };
}

/**
 * vLLM goes without where KV moves between instances or tiers, and for chunks; pipelines are left out
 * here, too. Then all layers keep the whole context.
 */
export function withKvGroups(instances: readonly Instance[], hasTiers: boolean): Instance[] {
  return instances.map((instance) => {
    const { role, pp, model } = instance;
    const groups = hasTiers || role !== 'colocated' || pp > 1 ? undefined : kvGroupsOf(model);
    return groups === undefined ? instance : { ...instance, kvGroups: groups };
  });
}
