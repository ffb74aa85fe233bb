/**
 * What a run takes from the cluster file because nobody can compute it: whether a model believes its
 * drafts, and which experts its gate chooses.
 */

import { nsPerMs } from '@astrolabe/base';
import type { Instance } from '@astrolabe/config';

/** A sentence each, the same of several instances once. */
export function assumptions(instances: readonly Instance[]): string[] {
  return [...new Set(instances.flatMap((one) => [...ofDrafts(one), ...ofExperts(one)]))];
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
