/**
 * Which devices of a cluster have measured links. A table replaces the network for whole collectives
 * and for messages between the stages of one instance; a group it has no row for is refused, because
 * another group's time would be wrong in a way that nobody sees.
 */
import { askedBy, UserError } from '@astrolabe/base';
import type { MeasuredLinksFile } from './interconnect.js';
import type { Instance } from './resolved-cluster.js';
import { describeCurve, findCurve, type MeasuredKind, type SizeTable } from './size-table.js';

/** A table as a cluster uses it. */
export interface MeasuredLinks {
  /** As the cluster file names it. */
  readonly file: string;
  /** Devices whose links these are; absent: all. */
  readonly hardware?: string | undefined;
  readonly table: SizeTable;
}

/** @throws UserError no such device, or a tensor-parallel group or stages that were not measured */
export function resolveMeasuredLinks(
  entries: readonly MeasuredLinksFile[],
  instances: readonly Instance[],
  at: string,
  read: ((file: string) => SizeTable) | undefined,
): MeasuredLinks[] {
  const links = entries.map(({ file, hardware }, i) => {
    const place = `${at}: measured_links[${i}]`;
    if (read === undefined) throw new UserError('cannot be read here', { at: `${place}.file` });
    const known = [...new Set(instances.flatMap((one) => npuHardware(one)))];
    if (hardware !== undefined && !known.includes(hardware)) {
      throw new UserError(`no device "${hardware}" in this cluster`, {
        at: `${place}.hardware`,
        hint: `there is ${known.join(', ')}`,
      });
    }
    return { file, hardware, table: askedBy(`${place}.file`, () => read(file)) };
  });
  for (const instance of instances) checkInstance(instance, links);
  return links;
}

/** Hardware of every NPU of the instance: stages in order, then feed-forward devices. */
export function npuHardware({ hardware, stageHardware, tp, npus, ffn }: Instance): string[] {
  const own = npus.map((_, i) => stageHardware?.[Math.trunc(i / tp)] ?? hardware);
  return [...own, ...(ffn?.npus.map(() => ffn.hardware) ?? [])];
}

/** Position of the first table for these links, or -1. */
export function measuredLinksOf(links: readonly MeasuredLinks[], hardware: string): number {
  return links.findIndex((one) => one.hardware === undefined || one.hardware === hardware);
}

/** What every run of the instance needs, so that a gap shows before the run. */
function checkInstance(instance: Instance, links: readonly MeasuredLinks[]): void {
  const { tp, pp, ffn, npus } = instance;
  const hardware = npuHardware(instance);
  const groups: [MeasuredKind, number, string][] = hardware
    .slice(0, npus.length)
    .map((own) => ['all_reduce', tp, own]);
  if (ffn !== undefined) groups.push(['all_reduce', ffn.tp, ffn.hardware]);
  if (pp > 1 || ffn !== undefined) {
    for (const own of hardware) groups.push(['send_recv', 2, own]);
  }
  for (const [kind, participants, own] of groups) {
    const at = measuredLinksOf(links, own);
    if (at < 0 || participants < 2) continue;
    if (!isMeasured(links[at].table, kind)) continue;
    if (findCurve(links[at].table, kind, participants, participants) >= 0) continue;
    throw notMeasured(links[at], kind, participants, participants, `instance "${instance.name}"`);
  }
}

export function isMeasured(table: SizeTable, kind: MeasuredKind): boolean {
  return table.curves.some(({ collective }) => collective === kind);
}

/** @param perNode participants in each node; 0: not the same number in each */
export function notMeasured(
  { file, table }: MeasuredLinks,
  kind: MeasuredKind,
  participants: number,
  perNode: number,
  who: string,
): UserError {
  const wanted = describeCurve({
    collective: kind,
    participants,
    devices_per_node: perNode,
  });
  const there = table.curves.filter(({ collective }) => collective === kind).map(describeCurve);
  return new UserError(`no ${wanted}, which ${who} needs`, {
    at: file,
    hint: `there is ${there.join('; ')}; without any ${kind} the network is simulated`,
  });
}
