/**
 * Measured times in place of the network: a collective of a measured group takes what was measured,
 * the same for all of its members, from when the last of them has begun; a message between two
 * stages of one instance likewise. Both leave the links alone: they neither wait for other messages
 * nor hold them up. Times ns, sizes bytes.
 */
import {
  findCurve,
  isMeasured,
  type MeasuredKind,
  type MeasuredLinks,
  notMeasured,
  SizeCurve,
} from '@astrolabe/config';
import { CollectiveKind } from '../collectives/phase.js';
import type { Communications } from '../completion.js';

export interface MeasuredSpec {
  readonly links: readonly MeasuredLinks[];
  /** By NPU: position in `links`, -1 for none. A group has a table if all its members have the same. */
  readonly linksOf: readonly number[];
  /** By NPU. */
  readonly node: readonly number[];
  /** By NPU: messages within one instance are between its stages. */
  readonly instance: readonly number[];
}

const kindNames: Readonly<Record<CollectiveKind, MeasuredKind>> = {
  [CollectiveKind.allReduce]: 'all_reduce',
  [CollectiveKind.allGather]: 'all_gather',
  [CollectiveKind.reduceScatter]: 'reduce_scatter',
  [CollectiveKind.allToAll]: 'all_to_all',
};

export class MeasuredTimes {
  private readonly spec: MeasuredSpec;
  private readonly curves: readonly (readonly SizeCurve[])[];
  /** By source and destination. */
  private readonly messages = new Map<number, SizeCurve | null>();

  constructor(spec: MeasuredSpec) {
    this.spec = spec;
    this.curves = spec.links.map(({ table }) =>
      table.curves.map((curve) => new SizeCurve(curve.size_bytes, curve.duration_ns)),
    );
  }

  noneYet(): Communications {
    return { measured: 0, beyond: 0, simulated: 0 };
  }

  /** @returns null: the network decides. @throws UserError measured, but not for this group */
  collective(kind: CollectiveKind, members: readonly number[]): SizeCurve | null {
    return this.find(kindNames[kind], members);
  }

  /** @returns null: the network decides. @throws UserError measured, but not at this distance */
  message(src: number, dst: number): SizeCurve | null {
    const { instance } = this.spec;
    if (instance[src] !== instance[dst]) return null;
    const key = src * instance.length + dst;
    let curve = this.messages.get(key);
    if (curve === undefined) {
      curve = this.find('send_recv', [src, dst]);
      this.messages.set(key, curve);
    }
    return curve;
  }

  private find(kind: MeasuredKind, members: readonly number[]): SizeCurve | null {
    const { links, linksOf } = this.spec;
    const index = linksOf[members[0]];
    if (index < 0 || members.some((npu) => linksOf[npu] !== index)) return null;
    const { table } = links[index];
    if (!isMeasured(table, kind)) return null;
    const perNode = this.perNode(members);
    const found = findCurve(table, kind, members.length, perNode);
    if (found >= 0) return this.curves[index][found];
    const who = `group [${members.join()}]`;
    throw notMeasured(links[index], kind, members.length, perNode, who);
  }

  /** Members in each node; 0 if not the same number in each. */
  private perNode(members: readonly number[]): number {
    const counts = new Map<number, number>();
    for (const npu of members) {
      const node = this.spec.node[npu];
      counts.set(node, (counts.get(node) ?? 0) + 1);
    }
    const [first, ...others] = counts.values();
    return others.every((count) => count === first) ? first : 0;
  }
}
