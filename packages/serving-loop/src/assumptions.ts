/**
 * What a run takes from the cluster file because nobody can compute it: whether a model believes its
 * drafts, and which experts its gate chooses; and times of a KV cache that nobody measured.
 */
import { nsPerMs } from '@astrolabe/base';
import { dtypeBytes, type Instance } from '@astrolabe/config';

/** A sentence each, the same of several instances once. */
export function assumptions(instances: readonly Instance[]): string[] {
  const ofOne = (one: Instance): string[] => [
    ...ofDrafts(one),
    ...ofKvCache(one),
    ...ofExperts(one),
  ];
  return [...new Set(instances.flatMap(ofOne))];
}

/** Whether times rest on an assumption of whose error nothing is known. */
export function hasUnknownError(instance: Instance): boolean {
  return instance.engine.speculation !== undefined || hasOtherKvCache(instance);
}

function hasOtherKvCache({ engine: { dtype, kvCacheDtype } }: Instance): boolean {
  return dtypeBytes[kvCacheDtype] !== dtypeBytes[dtype];
}

function ofKvCache(instance: Instance): string[] {
  const { dtype, kvCacheDtype } = instance.engine;
  if (!hasOtherKvCache(instance)) return [];
  return [
    `operators were measured with a KV cache of ${dtype}: what ${kvCacheDtype} changes was not`,
  ];
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
