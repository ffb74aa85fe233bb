/**
 * What a run takes from the cluster file because nobody can compute it: whether a model believes its
 * drafts, and which experts its gate chooses; times of a KV cache that nobody measured; and what is
 * simpler here than in an engine.
 */
import { nsPerMs } from '@astrolabe/base';
import { dtypeBytes, type Instance, npuHardware } from '@astrolabe/config';
import { kvDtypeOfProfile, type ProfileUse } from '@astrolabe/profile';

/** A sentence each, the same of several instances once. */
export function assumptions(
  instances: readonly Instance[],
  profiles: readonly ProfileUse[],
): string[] {
  const ofOne = (one: Instance): string[] => [
    ...ofDrafts(one),
    ...ofKvCache(one, profiles),
    ...ofWindows(one),
    ...ofQuantisedWeights(one, profiles),
    ...ofExperts(one),
  ];
  return [...new Set(instances.flatMap(ofOne))];
}

/** Whether times rest on an assumption of whose error nothing is known. */
export function hasUnknownError(instance: Instance, profiles: readonly ProfileUse[]): boolean {
  return instance.engine.speculation !== undefined || hasOtherKvCache(instance, profiles);
}

function hasOtherKvCache(instance: Instance, profiles: readonly ProfileUse[]): boolean {
  const { dtype, kvCacheDtype } = instance.engine;
  if (dtypeBytes[kvCacheDtype] === dtypeBytes[dtype]) return false;
  const own = profilesOf(instance, profiles);
  return own.length === 0 || own.some((use) => kvDtypeOfProfile(use.dtype) === undefined);
}

/** Of the devices of all its stages. */
function profilesOf(instance: Instance, profiles: readonly ProfileUse[]): ProfileUse[] {
  const hardware = new Set(npuHardware(instance));
  return profiles.filter((profile) => hardware.has(profile.hardware));
}

function ofKvCache(instance: Instance, profiles: readonly ProfileUse[]): string[] {
  const { dtype, kvCacheDtype } = instance.engine;
  if (!hasOtherKvCache(instance, profiles)) return [];
  return [
    `operators were measured with a KV cache of ${dtype}: what ${kvCacheDtype} changes was not`,
  ];
}

/** Chunks (Llama 4) are kept whole by vLLM, too, and so is KV that moves; pipelines are ours. */
function ofWindows({ model: { localAttention, numLayers }, kvGroups, pp }: Instance): string[] {
  if (localAttention === undefined || localAttention.chunked || kvGroups !== undefined) return [];
  if (pp === 1) return [];
  const { span, layers } = localAttention;
  return [
    `KV of all ${numLayers} layers is kept, though ${layers.length} attend to ${span} tokens alone: ` +
      'in a pipeline vLLM fits more requests',
  ];
}

function ofQuantisedWeights(instance: Instance, profiles: readonly ProfileUse[]): string[] {
  const { quantization } = instance.model;
  const own = profilesOf(instance, profiles);
  if (quantization === undefined || !own.some(({ measurement }) => measurement === 'roofline')) {
    return [];
  }
  return [`${quantization.method} weights take the time of their bytes, converting them none`];
}

function ofDrafts({ engine: { speculation } }: Instance): string[] {
  if (speculation === undefined) return [];
  const { acceptance, draftNs } = speculation;
  const time = draftNs === 0 ? 'takes no time' : `takes ${draftNs / nsPerMs} ms a token`;
  return [
    `a draft token is accepted with chance ${acceptance} and ${time}, as the cluster file says ` +
      'or by default: TPOT hangs on it',
  ];
}

function ofExperts({ model, experts }: Instance): string[] {
  const routing = experts?.routing ?? 'uniform';
  if (model.moe === undefined || routing === 'file' || routing === 'module') return [];
  return [`experts are chosen by a ${routing} gate, not as recorded from the model`];
}
