/** How an instance's experts are divided over ranks. */
import { askedBy, UserError } from '@astrolabe/base';
import {
  checkExpertRanks,
  type ExpertOptions,
  expertBytes,
  type Instance,
} from '@astrolabe/config';
import type { ExpertBlock } from '../quantities.js';
import { ExpertLoads, type ExpertRouter } from './expert-loads.js';

/**
 * `ep` shares of whole experts over the ranks of one stage of all peers; when there are more ranks
 * than shares, the ranks of a share cut each expert in slices. Without EP that is all ranks of TP.
 * @returns undefined for a dense model. @throws UserError degrees that do not divide
 */
export function planExperts(
  instance: Instance,
  peers: number,
  options: ExpertOptions,
  router?: ExpertRouter,
): ExpertBlock | undefined {
  const { moe, numLayers } = instance.model;
  if (moe === undefined) return undefined;
  const ranks = instance.tp * peers;
  const { ep } = instance;
  if (ep > ranks || ranks % ep !== 0) {
    throw new UserError(
      `ep ${ep} does not divide the ${ranks} ranks that share experts ` +
        `(TP ${instance.tp} x ${peers} data-parallel)`,
      { at: `${instance.place}.ep_size` },
    );
  }
  checkExpertRanks(instance.model, ep, options, instance.place);
  const loads = askedBy(
    `${instance.place}.experts`,
    () => new ExpertLoads(options, moe, numLayers, ep, router),
  );
  return {
    loads,
    expertsPerToken: moe.expertsPerToken,
    slices: ranks / ep,
    expertBytes: expertBytes(instance.model, instance.engine.dtype),
  };
}
