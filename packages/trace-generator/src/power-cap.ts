/**
 * A device under a power cap lowers its clock until it draws no more than the cap. Per operator, from
 * the node's `power` constants, its time at full clock t and the bytes that it moves:
 *
 *   memory share   t_m = bytes / memory bandwidth, at most t; it does not know the core's clock
 *   compute share  t_c = t - t_m, over the clock's ratio f to full clock
 *   power(f)       = idle + memory energy / t' + core f^3, with t' = t_m + t_c / f
 *
 * `core` is what active power has above idle and memory traffic at full clock. The operator takes the
 * shortest t' whose power is within the cap. Without memory traffic that is t (core / (cap - idle))^(1/3);
 * what only moves bytes keeps its time until their energy alone is over the cap.
 *
 * Sources: dynamic power goes with clock times voltage squared and voltage with the clock, hence the
 * cube (Mudge, Computer 34(4), 2001); time as a part that scales with the clock and one that does not
 * (Eyerman and Eeckhout, IEEE Trans. Computers, 2010); prompt processing slows under a cap and
 * token generation hardly does (Splitwise, arXiv 2311.18677). Not measured on a capped card here.
 */
import { UserError } from '@astrolabe/base';
import type { Cluster, Instance } from '@astrolabe/config';
import { type LatencyModel, withTimes } from '@astrolabe/profile';
import { operatorTraffic } from './operator-traffic.js';

export interface PowerCap {
  readonly capW: number;
  readonly idleW: number;
  /** At full clock. */
  readonly activeW: number;
  readonly memoryPjPerBit: number;
  /** `activeW` is of the whole board, memory included. */
  readonly memoryInBoard: boolean;
}

/**
 * @returns undefined when the device has no cap, or none that it could reach
 * @throws UserError a cap that not even an idle device keeps
 */
export function powerCapOf(
  cluster: Cluster,
  { node, hardware, memory }: Pick<Instance, 'node' | 'hardware' | 'memory'>,
): PowerCap | undefined {
  const { power, place } = cluster.nodes[node] ?? {};
  const constants = power?.npu[hardware];
  if (power === undefined || constants?.power_cap === undefined) return undefined;
  const { idle_power: idleW, active_power: activeW, power_cap: capW } = constants;
  if (capW <= idleW) {
    throw new UserError(`power_cap of ${capW} W: an idle device draws ${idleW} W`, {
      at: `${place}.power.npu.${hardware}`,
    });
  }
  const memoryPjPerBit = constants.hbm_energy_per_bit ?? power.dram.energy_per_bit;
  const memoryInBoard = constants.hbm_in_board_power;
  const mostMemoryW = memoryInBoard ? 0 : wattNs(memory.bandwidthGBps, memoryPjPerBit);
  if (activeW + mostMemoryW <= capW) return undefined;
  return { capW, idleW, activeW, memoryPjPerBit, memoryInBoard };
}

/** How much longer an operator without memory traffic takes. */
export function computeSlowdown({ capW, idleW, activeW }: PowerCap): number {
  return Math.max(1, Math.cbrt((activeW - idleW) / (capW - idleW)));
}

/**
 * @param timeNs at full clock
 * @param memoryNs of it, what its bytes take at the memory's bandwidth
 * @param sizeBytes moved to and from memory
 */
export function cappedNs(
  cap: PowerCap,
  timeNs: number,
  memoryNs: number,
  sizeBytes: number,
): number {
  if (timeNs === 0) return 0;
  const allowedW = cap.capW - cap.idleW;
  const aboveIdleW = cap.activeW - cap.idleW;
  const trafficW = wattNs(sizeBytes, cap.memoryPjPerBit) / timeNs;
  const memoryW = cap.memoryInBoard ? Math.min(trafficW, aboveIdleW) : trafficW;
  const coreW = cap.memoryInBoard ? aboveIdleW - memoryW : aboveIdleW;
  const fixedNs = Math.min(memoryNs, timeNs);
  const computeNs = timeNs - fixedNs;
  const powerW = (longerNs: number): number => {
    const clock = computeNs === 0 ? 0 : computeNs / (longerNs - fixedNs);
    return (memoryW * timeNs) / longerNs + coreW * clock * clock * clock;
  };
  if (powerW(timeNs) <= allowedW) return timeNs;
  // Power falls as time grows; at the energy of full clock over the allowed power it is low enough.
  let low = timeNs;
  let high = (timeNs * (memoryW + coreW)) / allowedW;
  while (high - low > 0.01) {
    const middle = (low + high) / 2;
    if (powerW(middle) > allowedW) low = middle;
    else high = middle;
  }
  return high;
}

/** The model itself without a cap. */
export function cappedClock(
  base: LatencyModel,
  instance: Instance,
  cap: PowerCap | undefined,
): LatencyModel {
  if (cap === undefined) return base;
  const traffic = operatorTraffic(instance);
  const { bandwidthGBps } = instance.memory;
  const slowed = (timeNs: number, sizeBytes: number): number =>
    cappedNs(cap, timeNs, sizeBytes / bandwidthGBps, sizeBytes);
  return withTimes(base, {
    denseNs: (operator, tp, tokens) =>
      slowed(base.denseNs(operator, tp, tokens), traffic.bytes(operator, tp, tokens)),
    perSequenceNs: (operator, tp, sequences) =>
      slowed(base.perSequenceNs(operator, tp, sequences), traffic.bytes(operator, tp, sequences)),
    attentionNs: (tp, batch) =>
      slowed(base.attentionNs(tp, batch), traffic.attentionBytes(tp, batch)),
    moeNs: (tp, tokens, activatedExperts) =>
      slowed(
        base.moeNs(tp, tokens, activatedExperts),
        traffic.moeBytes(tokens, activatedExperts) / tp,
      ),
  });
}

/** Energy of bytes in W ns; of bytes per ns, in W. */
function wattNs(sizeBytes: number, pjPerBit: number): number {
  return sizeBytes * 8 * pjPerBit * 1e-3;
}
