/** How an instance's experts, with the replicas of load balancing, divide over its expert ranks. */
import { UserError } from '@astrolabe/base';
import type { ExpertBalancing, ExpertOptions } from './experts.js';
import type { ModelShape } from './model.js';
import type { Instance } from './resolved-cluster.js';

/** Windows overlap, and the loads of each are kept. */
const mostIntervals = 1000;

/** Instances that step together because they share experts, in data-parallel rank order. */
export function expertPeersOf(
  instances: readonly Instance[],
  instance: Instance,
): readonly Instance[] {
  if (instance.dpGroup === undefined || instance.model.moe === undefined || instance.ep === 1) {
    return [instance];
  }
  return instances.filter(
    (other) => other.dpGroup === instance.dpGroup && other.ep > 1 && other.role === instance.role,
  );
}

/** Ranks that divide an instance's experts, by whole experts and slices of them. */
export function expertRanksOf({ ep, tp, expertSlices = 1 }: Instance): number {
  return ep > 1 ? ep * expertSlices : tp;
}

/** With more ranks than shares, the ranks of a share cut each expert: in so many slices. */
export function withExpertSlices(instances: readonly Instance[]): Instance[] {
  return instances.map((instance) => {
    const { ep, tp } = instance;
    const slices = (tp * expertPeersOf(instances, instance).length) / ep;
    const cut = ep > 1 && slices > 1 && Number.isInteger(slices);
    return cut ? { ...instance, expertSlices: slices } : instance;
  });
}

/** Physical experts of every layer beyond the model's; 0 without load balancing. */
export function redundantExperts(experts: ExpertOptions | undefined): number {
  return experts?.eplb?.num_redundant_experts ?? 0;
}

/**
 * As vLLM's EPLB every rank has equally many slots, so the ranks divide logical and redundant experts
 * together; without it they divide the model's.
 * @throws UserError degrees that do not divide, or options that go without load balancing only
 */
export function checkExpertRanks(
  model: ModelShape,
  ep: number,
  experts: ExpertOptions | undefined,
  place: string,
): void {
  if (experts?.eplb !== undefined) checkBalancing(model, ep, experts, experts.eplb, place);
  if (model.moe === undefined) return;
  const redundant = redundantExperts(experts);
  const { numExperts } = model.moe;
  if ((numExperts + redundant) % ep === 0) return;
  const of = redundant === 0 ? `${numExperts}` : `${numExperts} + ${redundant} redundant`;
  throw new UserError(`ep ${ep} does not divide the model's ${of} experts`, {
    at: `${place}.ep_size`,
  });
}

function checkBalancing(
  model: ModelShape,
  ep: number,
  experts: ExpertOptions,
  eplb: ExpertBalancing,
  place: string,
): void {
  const at = `${place}.experts.eplb`;
  if (model.moe === undefined) throw new UserError(`${model.name} has no experts`, { at });
  if (ep < 2) throw new UserError('needs expert ranks to balance: ep_size 2 or more', { at });
  const most = model.moe.numExperts * (ep - 1);
  if (eplb.num_redundant_experts > most) {
    throw new UserError(`expected ${most} redundant experts at most: all experts on every rank`, {
      at,
    });
  }
  if (eplb.window_size > mostIntervals * eplb.step_interval) {
    throw new UserError(`window_size: expected ${mostIntervals} step_intervals at most`, { at });
  }
  if (experts.offload !== undefined) {
    throw new UserError('cannot be combined with experts.offload', { at });
  }
  if (experts.routing === 'proportional') {
    throw new UserError('has nothing to balance: routing "proportional" loads all ranks alike', {
      at,
    });
  }
}
